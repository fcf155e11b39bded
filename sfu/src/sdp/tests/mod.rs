//! Offers of real clients, and of hostile ones.
