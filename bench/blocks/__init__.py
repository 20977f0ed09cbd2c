"""What the drain's block step costs: two systems side by side, one of them without the step."""
