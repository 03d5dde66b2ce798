//! What a node serves, for those who describe it.

use ::http::Method;

use crate::node::Node;

/// A handler of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// As it is asked for; that of the actor that answers for the whole node stands without its id.
    pub path: String,
    /// The methods that it takes; none means every method (the handler answers 405 itself).
    pub methods: Vec<Method>,
    /// What `/help` says of it, in Markdown.
    pub help: &'static str,
}

impl Node {
    /// What all actors of this node serve, by actor and path.
    pub fn endpoints(&self) -> Vec<Described> {
        let delegate = self.settings().delegate.as_deref();
        let mut endpoints = Vec::new();
        for (id, routes) in self.serving() {
            for (path, endpoint) in routes.iter().filter(|(path, _)| path != "/*") {
                let before = if delegate == Some(&*id) { String::new() } else { format!("/{id}") };
                let path = format!("{before}{}", path.trim_end_matches('/'));
                let path = if path.is_empty() { "/".to_owned() } else { path };
                endpoints.push(Described { path, methods: endpoint.methods.clone(), help: endpoint.help });
            }
        }
        endpoints
    }
}
