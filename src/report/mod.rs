//! Values into text, JSON and HTML.
