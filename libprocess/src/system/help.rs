//! `/help`: all routes of all actors.
//!
//! | receives | from | does |
//! |---|---|---|
//! | GET `/`, `/<id>`, `/<id>/<route>` | anybody | all actors; the routes of one, and the text of its `/`; the text of one route |
//!
//! Markdown for `curl` and `HTTPie`, a page for browsers, JSON of everything with `/help?format=json`
//! (upstream: 3rdparty/libprocess/src/help.cpp). It owns nothing: the texts are the routes'; who may call them is
//! added from what the node really does.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::context::Context;
use crate::http::access::Access;
use crate::http::{Realm, Reply, Request, Response, route_path};
use crate::install::Install;
use crate::node::Node;
use crate::process::{Place, Process};

/// The actor.
pub(crate) struct Help;

impl Process for Help {
    const NAME: &'static str = "help";
    const PLACE: Place = Place::Http;

    fn install(install: &mut Install<Self>) {
        install.get("/", HELP, Help::help);
        install.get("/*", HELP, Help::help);
    }
}

/// The texts of all routes: by actor, then by route.
type Texts = BTreeMap<String, BTreeMap<String, String>>;

impl Help {
    fn help(&mut self, request: Request, ctx: &mut Context<Self>) -> Reply {
        let texts = texts(ctx.node());
        Reply::render(move || answer(&texts, &request))
    }
}

/// Collects what the actors say of their routes.
fn texts(node: &Node) -> Texts {
    let settings = node.settings();
    let mut texts = Texts::new();
    for (id, routes) in node.serving() {
        // Two methods of a route may have texts of their own.
        let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut realms: BTreeMap<String, Option<Realm>> = BTreeMap::new();
        for (path, endpoint) in routes.iter().filter(|(path, _)| path != "/*") {
            let realm = realms.entry(path.clone()).or_default();
            *realm = realm.or(endpoint.realm);
            let said = said.entry(path).or_default();
            if !said.contains(&endpoint.help) {
                said.push(endpoint.help);
            }
        }
        for (path, said) in said {
            let is_delegate = settings.delegate.as_deref() == Some(&*id);
            let realm = realms.get(&path).copied().flatten();
            let text = usage(&id, &path, is_delegate)
                + &said.join("\n")
                + &who_may_call(&settings.access, realm, &route_path(&id, &path));
            texts.entry(id.to_string()).or_default().insert(path, text);
        }
    }
    texts
}

/// The sections that upstream's texts end with.
fn who_may_call(access: &Access, realm: Option<Realm>, path: &str) -> String {
    let realm = realm.and_then(|realm| access.name_of(realm));
    let known = match realm.map(|realm| (realm, access.scheme_of(realm))) {
        None => "Anybody may call it.".to_owned(),
        Some((realm, None)) => format!("Its realm is `{realm}`, in which this node authenticates nobody."),
        Some((realm, Some(scheme))) => {
            format!("Who calls it must be known in the realm `{realm}` ({scheme}).")
        }
    };
    let allowed =
        if access.has_hook(path) { "\n### AUTHORIZATION ###\nEach request must be allowed.\n" } else { "" };
    format!("\n### AUTHENTICATION ###\n{known}\n{allowed}")
}

/// How a route is called; the delegate's also without its id.
fn usage(id: &str, path: &str, is_delegate: bool) -> String {
    let path = path.trim_end_matches('/');
    let mut usage = "### USAGE ###\n".to_owned();
    if is_delegate {
        usage += &format!(">        {}\n", if path.is_empty() { "/" } else { path });
    }
    usage + &format!(">        /{id}{path}\n\n")
}

fn answer(texts: &Texts, request: &Request) -> Response {
    let mut parts = request.path.trim_matches('/').splitn(3, '/').skip(1);
    let markdown = match (parts.next(), parts.next()) {
        (None, _) => {
            if request.query.get("format") == Some("json") {
                return Response::json(all_json(texts).to_string());
            }
            list("## HELP\n", texts.keys().map(|id| (format!("/{id}"), format!("/help/{id}"))))
        }
        (Some(id), name) => {
            let Some(routes) = texts.get(id) else {
                return Response::not_found();
            };
            match name {
                None => {
                    let links = routes.keys().map(|path| {
                        let path = format!("/{id}{}", path.trim_end_matches('/'));
                        (path.clone(), format!("/help{path}"))
                    });
                    let own = routes.get("/").map(String::as_str).unwrap_or_default();
                    list(&format!("## `/{id}` ##\n"), links) + own
                }
                Some(name) => match routes.get(&format!("/{name}")) {
                    Some(text) => text.clone(),
                    None => {
                        return Response::bad_request(format!("No help available for '/{id}/{name}'.\n"));
                    }
                },
            }
        }
    };
    let agent = request.header("user-agent").unwrap_or("");
    if agent.starts_with("curl") || agent.starts_with("HTTPie") {
        Response::ok("text/x-markdown", markdown)
    } else {
        Response::ok("text/html", page(&markdown))
    }
}

/// A title and links, as Markdown.
fn list(title: &str, links: impl Iterator<Item = (String, String)>) -> String {
    links.fold(title.to_owned(), |text, (name, target)| text + &format!("> [{name}]({target})\n"))
}

fn all_json(texts: &Texts) -> Value {
    let processes: Vec<Value> = texts
        .iter()
        .map(|(id, routes)| {
            let endpoints: Vec<Value> =
                routes.iter().map(|(name, text)| json!({"name": name, "text": text})).collect();
            json!({"id": id, "endpoints": endpoints})
        })
        .collect();
    json!({ "processes": processes })
}

/// The page of a text: as much Markdown as our texts use (headings, quotes, links, code).
fn page(markdown: &str) -> String {
    let mut html = String::from(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>Help</title><style>\
         body{font:15px/1.6 sans-serif;margin:2em auto;max-width:50em;padding:0 1em}\
         blockquote{border-left:4px solid #ddd;margin:0;padding:0 1em;color:#555;white-space:pre-wrap}\
         a{color:#06c;text-decoration:none}code,pre{background:#f4f4f4}</style></head><body>\n",
    );
    let mut code = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            html += if code { "</pre>\n" } else { "<pre>" };
            code = !code;
        } else if code {
            html += &escape(line);
            html.push('\n');
        } else if let Some(title) = line.strip_prefix('#') {
            let title = title.trim_matches(['#', ' ']);
            html += &format!("<h3>{}</h3>\n", inline(title));
        } else if let Some(quote) = line.strip_prefix('>') {
            html += &format!("<blockquote>{}</blockquote>\n", inline(quote));
        } else if line.is_empty() {
            html += "<br>\n";
        } else {
            html += &inline(line);
            html.push('\n');
        }
    }
    html + "</body></html>\n"
}

/// Escaped, with links and code.
fn inline(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['[', '`']) {
        html += &escape(&rest[..at]);
        let from = &rest[at..];
        let (piece, length) = link(from).or_else(|| code(from)).unwrap_or_else(|| (escape(&from[..1]), 1));
        html += &piece;
        rest = &from[length..];
    }
    html + &escape(rest)
}

/// `[name](target)`.
fn link(text: &str) -> Option<(String, usize)> {
    let (name, rest) = text.strip_prefix('[')?.split_once("](")?;
    let target = &rest[..rest.find(')')?];
    let html = format!("<a href=\"{}\">{}</a>", escape(target), escape(name));
    // A target may hold brackets of its own, as in `slave(1)`.
    let end = rest[target.len()..].starts_with(")/") || rest[target.len()..].starts_with("))");
    if end {
        let whole = &rest[..rest.rfind(')')?];
        let html = format!("<a href=\"{}\">{}</a>", escape(whole), escape(name));
        return Some((html, name.len() + whole.len() + 4));
    }
    Some((html, name.len() + target.len() + 4))
}

/// `` `code` ``.
fn code(text: &str) -> Option<(String, usize)> {
    let code = text.strip_prefix('`')?.split_once('`')?.0;
    Some((format!("<code>{}</code>", escape(code)), code.len() + 2))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HELP: &str = "\
### TL;DR; ###
Shows the routes of this node.

### DESCRIPTION ###
`/help` lists the actors, `/help/<id>` the routes of one, `/help/<id>/<route>` shows the text of a route. An actor's
own route is explained below its list.

>        format=json         Everything as JSON (of `/help` alone).
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_a_page() {
        assert_eq!(inline("a < `b` [x](/y)"), "a &lt; <code>b</code> <a href=\"/y\">x</a>");
        assert_eq!(
            inline("[/slave(1)/state](/help/slave(1)/state)"),
            "<a href=\"/help/slave(1)/state\">/slave(1)/state</a>"
        );
        assert_eq!(inline("[/slave(1)](/help/slave(1))"), "<a href=\"/help/slave(1)\">/slave(1)</a>");
        assert_eq!(inline("[ and ` alone"), "[ and ` alone");
        let page = page("## `/x` ##\n> quote\n```\n<a>\n```\ntext\n");
        for part in ["<h3><code>/x</code></h3>", "<blockquote> quote</blockquote>", "<pre>&lt;a&gt;\n</pre>"]
        {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn the_delegates_routes_are_shown_without_its_id_as_well() {
        assert_eq!(
            usage("master", "/state", true),
            "### USAGE ###\n>        /state\n>        /master/state\n\n"
        );
        assert_eq!(usage("version", "/", false), "### USAGE ###\n>        /version\n\n");
    }
}
