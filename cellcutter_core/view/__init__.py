"""Arrays and records to pictures and Plotly figures."""
