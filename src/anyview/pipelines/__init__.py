"""Whole journeys: where engines and the report meet."""
