//! The bodies of the older endpoints: JSON or a form, whatever the header says. Most of upstream's texts on JSON name the
//! endpoint and repeat the body.

use libprocess::http::{Query, Response};
use mesos::json;
use serde_json::Value;

/// The form that a body has to be.
pub(super) fn form(bytes: &[u8]) -> Result<Query, Response> {
    Query::of_form(bytes)
        .map_err(|error| Response::bad_request(format!("Unable to decode query string: {error}")))
}

/// A body of JSON that is being read.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    /// What it is for, as in "set quota", if texts say so.
    purpose: Option<&'static str>,
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    /// The body of a request whose purpose is so called in upstream's texts.
    pub(super) fn new(purpose: &'static str, bytes: &'a [u8]) -> Self {
        Self { purpose: Some(purpose), bytes }
    }

    /// The body of a request whose texts are only what is wrong.
    pub(super) fn bare(bytes: &'a [u8]) -> Self {
        Self { purpose: None, bytes }
    }

    /// The JSON object that it has to be.
    pub(super) fn object(self) -> Result<Value, Response> {
        self.parsed(Value::is_object)
    }

    /// The JSON array that it has to be.
    pub(super) fn array(self) -> Result<Vec<Value>, Response> {
        match self.parsed(Value::is_array)? {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    fn parsed(self, is_expected: impl Fn(&Value) -> bool) -> Result<Value, Response> {
        let syntax = |error: String| {
            Response::bad_request(match self.purpose {
                Some(purpose) => format!("Failed to parse {purpose} request JSON '{}': {error}", self.text()),
                None => error,
            })
        };
        let value = json::parse(self.bytes).map_err(|error| syntax(error.to_string()))?;
        if !is_expected(&value) {
            return Err(syntax("Unexpected JSON type parsed".to_owned()));
        }
        Ok(value)
    }

    /// It is JSON, but not what was meant; `what` says what failed.
    pub(super) fn refused(self, what: &str, error: impl std::fmt::Display) -> Response {
        Response::bad_request(format!("{what} '{}': {error}", self.text()))
    }

    fn text(self) -> String {
        String::from_utf8_lossy(self.bytes).into_owned()
    }
}
