"""The ground floor: errors, ids, sealed values, limits, database sessions. Imports nothing of ours."""
