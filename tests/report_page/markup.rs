//! Whether tags of a page open and close in pairs, with SVG held to XML's rules.

/// Elements of HTML that have no end.
const VOID: [&str; 4] = ["meta", "link", "br", "!doctype"];

/// The first thing that is wrong, if any.
pub(crate) fn check(page: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let end = tag.find('>').ok_or("a tag does not end")?;
        let inside = &tag[..end];
        rest = &tag[end + 1..];
        if inside.contains('<') {
            return Err(format!("a tag within a tag: {inside}"));
        }
        if !inside.matches('"').count().is_multiple_of(2) {
            return Err(format!("quotes do not pair: {inside}"));
        }
        if let Some(name) = inside.strip_prefix('/') {
            match open.pop() {
                Some(last) if last == name => {}
                last => return Err(format!("</{name}> closes {last:?}")),
            }
            continue;
        }
        let name = inside.split([' ', '/']).next().unwrap_or_default();
        if !VOID.contains(&name) && !inside.ends_with('/') {
            open.push(name);
        }
        if name == "style" {
            // Style sheets are no markup.
            rest = &rest[rest.find("</style>").ok_or("a style sheet does not end")?..];
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("never closed: {open:?}")) }
}
