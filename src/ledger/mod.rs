//! What was seen where: told once.
