"""States at one further position: of the same inputs as a cell, in files of their own."""
