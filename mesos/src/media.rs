//! The two media types of Mesos's APIs, and how a request chooses between them.
//!
//! The rules are upstream's and stricter than HTTP's: `Content-Type` must be exactly one of the
//! names, without parameters and in lower case; of what `Accept` allows, JSON comes first whatever
//! the weights (upstream: `src/master/http.cpp`, `src/slave/http.cpp`, and `acceptsMediaType` in
//! `3rdparty/libprocess/src/http.cpp`).

use std::fmt;

/// How a body is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/x-protobuf`
    Protobuf,
}

/// `application/recordio`: not the encoding of a message, but of a stream of them.
pub const RECORDIO: &str = "application/recordio";

/// Why a `Content-Type` is refused. Its text is upstream's body of the answer.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentTypeError {
    /// To be answered with 400.
    #[error("Expecting 'Content-Type' to be present")]
    Missing,
    /// To be answered with 415.
    #[error("Expecting 'Content-Type' of application/json or application/x-protobuf")]
    Unsupported,
}

impl ContentTypeError {
    /// The HTTP status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::Missing => 400,
            Self::Unsupported => 415,
        }
    }
}

/// `Accept` allows neither type: to be answered with 406 and this text.
#[derive(thiserror::Error, Clone, Copy, PartialEq, Eq, Debug)]
#[error("Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'")]
pub struct NotAcceptable;

impl MediaType {
    /// Its name in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }

    /// The type with exactly that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Json, Self::Protobuf].into_iter().find(|media| media.as_str() == name)
    }

    /// The type of a request's body, from its `Content-Type`.
    ///
    /// # Errors
    /// If the header is absent or names anything else.
    pub fn of_content(content_type: Option<&str>) -> Result<Self, ContentTypeError> {
        let name = content_type.filter(|name| !name.is_empty()).ok_or(ContentTypeError::Missing)?;
        Self::from_name(name).ok_or(ContentTypeError::Unsupported)
    }

    /// The type of the answer, from the request's `Accept`; JSON where both are allowed.
    ///
    /// # Errors
    /// If neither is.
    pub fn of_answer(accept: Option<&str>) -> Result<Self, NotAcceptable> {
        let allowed = [Self::Json, Self::Protobuf].into_iter();
        allowed.into_iter().find(|media| accepts(accept, media.as_str())).ok_or(NotAcceptable)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an `Accept` header allows the media type `name` (`type/subtype`).
///
/// Without a header everything is allowed. The most specific range that matches decides, and a
/// weight of 0 means no.
pub fn accepts(accept: Option<&str>, name: &str) -> bool {
    let Some(accept) = accept else { return true };
    let Some((kind, _)) = name.split_once('/') else { return false };
    let accept: String = accept.chars().filter(|c| !matches!(c, ' ' | '\t' | '\n')).collect();
    for candidate in [name, &format!("{kind}/*"), "*/*"] {
        for range in accept.split(',') {
            let mut parts = range.split(';');
            if parts.next().is_some_and(|media| media.eq_ignore_ascii_case(candidate)) {
                let weight = parts.find_map(|part| part.strip_prefix("q="));
                return weight.is_none_or(|q| q.parse::<f64>().is_ok_and(|q| q > 0.0));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_or_protobuf_and_must_say_so_exactly() {
        assert_eq!(MediaType::of_content(Some("application/json")), Ok(MediaType::Json));
        assert_eq!(MediaType::of_content(Some("application/x-protobuf")), Ok(MediaType::Protobuf));
        for absent in [None, Some("")] {
            assert_eq!(MediaType::of_content(absent), Err(ContentTypeError::Missing));
        }
        for other in ["text/plain", "Application/JSON", "application/json; charset=utf-8"] {
            let error = MediaType::of_content(Some(other)).unwrap_err();
            assert_eq!(error.status(), 415);
        }
    }

    #[test]
    fn json_is_preferred_among_what_is_accepted() {
        let json = Ok(MediaType::Json);
        let protobuf = Ok(MediaType::Protobuf);
        for (accept, expected) in [
            (None, json),
            (Some("*/*"), json),
            (Some("application/*"), json),
            (Some("application/x-protobuf, application/json;q=0.1"), json),
            (Some("application/x-protobuf"), protobuf),
            (Some("APPLICATION/X-PROTOBUF"), protobuf),
            (Some("application/json;q=0, */*"), protobuf),
            (Some("application/json;q=0.0,application/x-protobuf;q=0.5"), protobuf),
            (Some("application/json;q=x"), Err(NotAcceptable)),
            (Some("application/json;q=0"), Err(NotAcceptable)),
            (Some("text/html"), Err(NotAcceptable)),
            (Some("application/recordio"), Err(NotAcceptable)),
            (Some(""), Err(NotAcceptable)),
        ] {
            assert_eq!(MediaType::of_answer(accept), expected, "{accept:?}");
        }
    }
}
