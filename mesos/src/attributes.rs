//! Attributes of an agent, `rack:r1;zone:[1-5]`: what operators say about it and frameworks choose
//! by. Names may repeat. Numbers, ranges and texts; no sets. A number is kept as it was given (frameworks
//! compare it with theirs) and rounded to three decimals only to be compared and printed here. Upstream:
//! `src/common/attributes.cpp`.

use std::fmt;

use serde_json::{Map, Value};

use crate::{
    text,
    v1::{self, value},
    values::{self, ParsedValue, Ranges, Scalar, ValueParseError},
};

/// Why a text or message is not an attribute.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AttributeError {
    /// `name:value` expected.
    #[error("Invalid attribute key:value pair '{0}'")]
    Pair(String),
    /// The value does not read.
    #[error("Failed to parse attribute {name} text {text} error {error}")]
    Value {
        /// The attribute's name.
        name: String,
        /// What stands behind the colon.
        text: String,
        /// What is wrong with it.
        error: ValueParseError,
    },
    /// A set, an unknown type, or a message without its value.
    #[error("Bad type for attribute {name}: SCALAR, RANGES or TEXT with its value is needed")]
    Type {
        /// The attribute's name.
        name: String,
    },
}

/// The value of an attribute.
#[derive(Clone, Debug)]
pub enum AttributeValue {
    /// A number, with all its digits.
    Scalar(f64),
    /// Ranges of numbers.
    Ranges(Ranges),
    /// Anything else.
    Text(String),
}

impl PartialEq for AttributeValue {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(mine), Self::Scalar(theirs)) => {
                Scalar::from_f64(*mine) == Scalar::from_f64(*theirs)
            }
            (Self::Ranges(mine), Self::Ranges(theirs)) => mine == theirs,
            (Self::Text(mine), Self::Text(theirs)) => mine == theirs,
            _ => false,
        }
    }
}

impl Eq for AttributeValue {}

/// One attribute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Its name; need not be unique.
    pub name: String,
    /// Its value.
    pub value: AttributeValue,
}

/// The attributes of an agent, in the order given.
#[derive(Clone, Default, Debug)]
pub struct Attributes {
    attributes: Vec<Attribute>,
}

impl Attributes {
    /// Reads `name:value;name:value`; the value may contain colons.
    ///
    /// # Errors
    /// [`AttributeError`].
    pub fn parse(input: &str) -> Result<Self, AttributeError> {
        let attributes = text::tokenize(input, ";\n").map(parse_one).collect::<Result<_, _>>()?;
        Ok(Self { attributes })
    }

    /// From the protocol's messages.
    ///
    /// # Errors
    /// [`AttributeError::Type`].
    pub fn try_from_protos(protos: &[v1::Attribute]) -> Result<Self, AttributeError> {
        let attributes = protos.iter().map(Attribute::try_from).collect::<Result<_, _>>()?;
        Ok(Self { attributes })
    }

    /// From the protocol's messages; what is no attribute is left out.
    #[must_use]
    pub fn from_valid_protos(protos: &[v1::Attribute]) -> Self {
        Self { attributes: protos.iter().filter_map(|proto| Attribute::try_from(proto).ok()).collect() }
    }

    /// The protocol's messages.
    #[must_use]
    pub fn to_protos(&self) -> Vec<v1::Attribute> {
        self.attributes.iter().map(Attribute::to_proto).collect()
    }

    /// The attributes.
    pub fn iter(&self) -> std::slice::Iter<'_, Attribute> {
        self.attributes.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// The first value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&AttributeValue> {
        self.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    }

    /// The object of `/state`: numbers as numbers, everything else as text; of names that repeat,
    /// the last (upstream: `model(const Attributes&)`).
    #[must_use]
    pub fn summary(&self) -> Map<String, Value> {
        let value = |value: &AttributeValue| match value {
            AttributeValue::Scalar(scalar) => Value::from(*scalar),
            AttributeValue::Ranges(ranges) => Value::from(ranges.to_string()),
            AttributeValue::Text(text) => Value::from(text.clone()),
        };
        self.iter().map(|attribute| (attribute.name.clone(), value(&attribute.value))).collect()
    }
}

/// Equal whatever the order.
impl PartialEq for Attributes {
    fn eq(&self, other: &Self) -> bool {
        self.attributes.len() == other.attributes.len()
            && self.iter().all(|attribute| other.attributes.contains(attribute))
            && other.iter().all(|attribute| self.attributes.contains(attribute))
    }
}

impl Eq for Attributes {}

fn parse_one(token: &str) -> Result<Attribute, AttributeError> {
    let pair = token.split_once(':').filter(|(name, value)| !(name.is_empty() || value.is_empty()));
    let (name, text) = pair.ok_or_else(|| AttributeError::Pair(token.to_owned()))?;
    let parsed = values::parse(text);
    let value = match parsed.map_err(|error| AttributeError::Value {
        name: name.to_owned(),
        text: text.to_owned(),
        error,
    })? {
        ParsedValue::Scalar(number) => AttributeValue::Scalar(number),
        ParsedValue::Ranges(ranges) => AttributeValue::Ranges(ranges),
        ParsedValue::Text(text) => AttributeValue::Text(text),
        ParsedValue::Set(_) => return Err(AttributeError::Type { name: name.to_owned() }),
    };
    Ok(Attribute { name: name.to_owned(), value })
}

impl Attribute {
    /// The protocol's message.
    #[must_use]
    pub fn to_proto(&self) -> v1::Attribute {
        let mut proto = v1::Attribute { name: self.name.clone(), ..Default::default() };
        match &self.value {
            AttributeValue::Scalar(scalar) => {
                proto.set_type(value::Type::Scalar);
                proto.scalar = Some(value::Scalar { value: *scalar });
            }
            AttributeValue::Ranges(ranges) => {
                proto.set_type(value::Type::Ranges);
                proto.ranges = Some(ranges.into());
            }
            AttributeValue::Text(text) => {
                proto.set_type(value::Type::Text);
                proto.text = Some(value::Text { value: text.clone() });
            }
        }
        proto
    }
}

impl TryFrom<&v1::Attribute> for Attribute {
    type Error = AttributeError;

    fn try_from(proto: &v1::Attribute) -> Result<Self, AttributeError> {
        let wrong = || AttributeError::Type { name: proto.name.clone() };
        let value = match (value::Type::try_from(proto.r#type), &proto.scalar, &proto.ranges, &proto.text) {
            (Ok(value::Type::Scalar), Some(scalar), _, _) => AttributeValue::Scalar(scalar.value),
            (Ok(value::Type::Ranges), _, Some(ranges), _) => {
                AttributeValue::Ranges(Ranges::try_from(ranges).map_err(|_| wrong())?)
            }
            (Ok(value::Type::Text), _, _, Some(text)) => AttributeValue::Text(text.value.clone()),
            _ => return Err(wrong()),
        };
        if proto.name.is_empty() {
            return Err(wrong());
        }
        Ok(Self { name: proto.name.clone(), value })
    }
}

/// `name=value`, as upstream prints it.
impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            AttributeValue::Scalar(number) => write!(f, "{}={}", self.name, Scalar::from_f64(*number)),
            AttributeValue::Ranges(ranges) => write!(f, "{}={ranges}", self.name),
            AttributeValue::Text(text) => write!(f, "{}={text}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(text: &str) -> Attributes {
        Attributes::parse(text).unwrap()
    }

    /// Upstream: `AttributesTest.Parsing`.
    #[test]
    fn numbers_ranges_and_texts_are_told_apart() {
        let parsed = attributes("cpus:45.55;ports:[10000-20000, 30000-50000];rack:rack1,rack2");
        let printed: Vec<String> = parsed.iter().map(Attribute::to_string).collect();
        assert_eq!(printed, ["cpus=45.55", "ports=[10000-20000, 30000-50000]", "rack=rack1,rack2"]);
        assert_eq!(
            serde_json::to_string(&parsed.summary()).unwrap(),
            r#"{"cpus":45.55,"ports":"[10000-20000, 30000-50000]","rack":"rack1,rack2"}"#
        );
    }

    /// Upstream: `AttributesTest.Parsing`.
    #[test]
    fn a_value_may_contain_colons() {
        let parsed = attributes("attr1:foo:bar;attr2:baz:qux:");
        assert_eq!(parsed.get("attr1"), Some(&AttributeValue::Text("foo:bar".into())));
        assert_eq!(parsed.get("attr2"), Some(&AttributeValue::Text("baz:qux:".into())));
    }

    /// Upstream: `AttributesTest.Equality`.
    #[test]
    fn order_does_not_matter_for_equality() {
        let left = attributes("rack:rack1;dedicated:customer1;dedicated:customer2");
        assert_eq!(left, attributes("dedicated:customer2;dedicated:customer1;rack:rack1"));
        assert_ne!(left, attributes(""));
        assert_ne!(attributes("rack:1"), attributes("rack:[1-1]"));
    }

    #[test]
    fn malformed_attributes_say_what_is_wrong() {
        for (text, message) in [
            ("rack", "Invalid attribute key:value pair 'rack'"),
            (":r", "Invalid attribute key:value pair ':r'"),
            ("rack:", "Invalid attribute key:value pair 'rack:'"),
            ("rack:{a,b}", "Bad type for attribute rack: SCALAR, RANGES or TEXT with its value is needed"),
            ("rack:[1-", "Failed to parse attribute rack text [1- error Mismatched brackets"),
        ] {
            assert_eq!(Attributes::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn messages_and_back_are_the_same() {
        let parsed = attributes("cpus:45.55;ports:[1-2];rack:r1");
        assert_eq!(Attributes::try_from_protos(&parsed.to_protos()), Ok(parsed));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let parsed = attributes("lat:52.520008;serial:12345678901234567890;tiny:0.0004");
        let sent: Vec<f64> = parsed.to_protos().iter().filter_map(|one| Some(one.scalar?.value)).collect();
        assert_eq!(sent, [52.520008, 12_345_678_901_234_567_890.0, 0.0004]);
        assert_eq!(parsed.summary()["lat"], 52.520008);
        assert_eq!(attributes("lat:52.520008"), attributes("lat:52.52"));
    }
}
