//! The HTTP front: an own loop with seats, deadlines and budgets; routes, keys and rate limits decide (pure).
