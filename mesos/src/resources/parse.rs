//! Resources from text: `cpus:4;mem(role):1024;ports:[31000-32000]`, or a JSON array of `Resource`
//! messages in either reservation format (upstream: `Resources::parse`).

use super::{Resource, ResourceError, Resources, format, validate};
use crate::{
    roles, text,
    v1::{
        self,
        resource::{ReservationInfo, reservation_info},
        value,
    },
    values::{self, ParsedValue},
};

impl Resources {
    /// Reads resources as a daemon is given them: valid, nothing made at run time (volumes, dynamic
    /// reservations, revocable), one type for one name. What names no role is reserved for
    /// `default_role`, unless that is `*`.
    ///
    /// # Errors
    /// [`ResourceError`], with upstream's texts.
    pub fn parse(input: &str, default_role: &str) -> Result<Self, ResourceError> {
        let mut bag = Self::new();
        let protos = parse_unchecked(input, default_role)?;
        if protos.len() > super::bag::MAX_IN_MESSAGE {
            return Err(ResourceError::TooMany(protos.len()));
        }
        for proto in protos {
            bag.add_one(Resource::try_from(&proto)?);
        }
        validate::command_line(bag.iter())?;
        Ok(bag)
    }
}

/// Reads the messages without checking what they mean; in the format after refinement.
///
/// # Errors
/// When the text has not the form of resources, neither as text nor as JSON.
pub fn parse_unchecked(input: &str, default_role: &str) -> Result<Vec<v1::Resource>, ResourceError> {
    if input.trim_start().starts_with('[') {
        return from_json(input, default_role);
    }
    text::tokenize(input, ";").map(|token| from_token(token, default_role)).collect()
}

fn from_json(input: &str, default_role: &str) -> Result<Vec<v1::Resource>, ResourceError> {
    let mut resources = json_array(input)?;
    for resource in &mut resources {
        if resource.role.is_none() && resource.reservations.is_empty() {
            resource.role = Some(default_role.to_owned());
        }
        // A contradiction such as role `*` with a reservation must survive until it is refused.
        if validate::validate(resource).is_ok() {
            format::upgrade(resource);
        }
    }
    Ok(resources)
}

fn json_array(input: &str) -> Result<Vec<v1::Resource>, ResourceError> {
    let array: Vec<serde_json::Value> =
        serde_json::from_str(input).map_err(|error| ResourceError::Json(error.to_string()))?;
    let resource =
        |value| crate::json::from_value(value).map_err(|error| ResourceError::Json(error.to_string()));
    array.iter().map(resource).collect()
}

/// `name(role):value`.
fn from_token(token: &str, default_role: &str) -> Result<v1::Resource, ResourceError> {
    let mut parts = text::tokenize(token, ":");
    let (Some(head), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(ResourceError::Colon(token.to_owned()));
    };
    let (name, role) = match head.find('(') {
        None => (head.trim(), default_role),
        Some(open) => {
            let inside = head[open + 1..].split_once(')').filter(|_| !head[..open].contains(')'));
            let (role, _) = inside.ok_or_else(|| ResourceError::Parentheses(token.to_owned()))?;
            (head[..open].trim(), role.trim())
        }
    };
    resource_from_text(name, value, role)
}

/// One resource from its name, its value's text and its role.
///
/// # Errors
/// When the value does not read, or is a text.
pub fn resource_from_text(name: &str, value: &str, role: &str) -> Result<v1::Resource, ResourceError> {
    let parsed = values::parse(value).map_err(|error| ResourceError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        error,
    })?;
    let mut resource = v1::Resource { name: name.to_owned(), ..Default::default() };
    if role != roles::UNRESERVED {
        let mut reservation = ReservationInfo { role: Some(role.to_owned()), ..Default::default() };
        reservation.set_type(reservation_info::Type::Static);
        resource.reservations.push(reservation);
    }
    match parsed {
        ParsedValue::Scalar(number) => {
            resource.set_type(value::Type::Scalar);
            resource.scalar = Some(value::Scalar { value: number });
        }
        ParsedValue::Ranges(ranges) => {
            resource.set_type(value::Type::Ranges);
            resource.ranges = Some((&ranges).into());
        }
        ParsedValue::Set(item) => {
            resource.set_type(value::Type::Set);
            resource.set = Some(Box::new(value::Set { item }));
        }
        ParsedValue::Text(_) => {
            return Err(ResourceError::TextValue {
                name: name.to_owned(),
                value: value.to_owned(),
                type_name: parsed.type_name(),
            });
        }
    }
    Ok(resource)
}
