"""Draw arrays and records as pictures and Plotly figures."""
