//! Policy documents into a checked `Policy`.
