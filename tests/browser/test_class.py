"""A class in real browsers: a teacher makes it, a student joins and trains, the wall shows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from patience import LONGEST
from serving import Server
from test_app import SOON, go, no_trouble, settled, visit
from test_two_people import for_many, known

__all__ = ["for_many"]

SMALL = "image=sample-3&region=0,0,96,96&training.epochs=1&training.steps=2&training.warm_up=2"


def test_a_student_joins_by_the_link_and_the_teacher_sees_the_run_come_and_opens_it(
    for_many: Server, new_page: Callable[..., Any]
) -> None:
    teacher = new_page()
    visit(teacher, for_many, f"classroom?{SMALL}")
    teacher.get_by_label("Title", exact=True).fill("Monday")
    differs = teacher.get_by_role("combobox", name="Differs between people")
    differs.click()
    # The list holds only the options that are seen.
    differs.fill("lam")
    teacher.get_by_role("option", name="training: lam", exact=True).click()
    values = teacher.get_by_label("Values", exact=True)
    values.wait_for(timeout=SOON)
    values.fill("3, 5")
    values.press("Enter")
    settled(teacher)
    teacher.get_by_role("button", name="Make the class").click()
    link = teacher.get_by_text(re.compile(r"/data\?class="))
    link.wait_for(timeout=SOON)
    teacher.get_by_text("Nobody in this class has started a run yet.").wait_for(timeout=SOON)

    student = new_page()
    student.goto(str(link.inner_text()).strip())
    settled(student)
    assert known(student) != known(teacher)
    go(student, "Train")
    student.get_by_text("Yours: lam 3", exact=False).wait_for(timeout=SOON)
    name = student.get_by_label("Your name", exact=False)
    name.fill("Ada")
    name.press("Enter")
    settled(student)
    student.get_by_role("button", name="Start training").click()

    # The wall of the teacher follows by itself.
    done = teacher.get_by_text("1 of 1 runs finished")
    done.wait_for(timeout=1000 * LONGEST)
    teacher.get_by_text("lam 3", exact=True).wait_for(timeout=SOON)
    tile = teacher.get_by_role("link", name=re.compile("^Ada: AP75"))
    tile.wait_for(timeout=SOON)
    # The student sees the same wall, and opens nobody's run from there.
    go(student, "Classroom")
    student.get_by_text("1 of 1 runs finished").wait_for(timeout=SOON)
    assert not student.get_by_role("link", name=re.compile("^Ada")).count()
    tile.click()
    teacher.get_by_text("This run belongs to another person", exact=False).wait_for(timeout=SOON)
    no_trouble(teacher)
    no_trouble(student)
