"""How figures are drawn: everything that needs matplotlib, and nothing that tests or estimates."""
