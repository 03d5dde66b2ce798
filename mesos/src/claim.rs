//! How much memory a message will take, seen from its protobuf before it is read.
//!
//! An item of a list may have two bytes on the wire. In memory it has those of its struct, which are two thousand for an
//! operation: a call of ten megabytes, or of ten kilobytes if it comes compressed, would take more than ten gigabytes, and
//! who asks for more than there is ends. So what the lists claim is summed up first, led by the message's table. (bincode
//! does the same, see [`crate::bincode_codec`].) JSON is read by way of protobuf, and counted so.

use prost::encoding::{WireType, decode_key};

use crate::proto::{Kind, MessageDescriptor, Presence};
use crate::required::{Error, MAX_DEPTH, length_delimited, malformed, map_values, skip};
use crate::wire::MAX_MESSAGE_BYTES;

/// What every message may claim.
const ANY: usize = MAX_MESSAGE_BYTES;

/// A longer one may claim so many bytes for each that it has. Lists of small things claim most: states of tasks with short
/// ids twenty.
const TIMES: usize = 32;

/// With its first entry, a map (a `BTreeMap`) takes the memory of so many.
const NODE: usize = 11;

/// No message has more bytes in memory, without what it points to, and no map that has one entry.
const LARGEST: usize = 8 << 10;

/// What is shorter claims less than [`ANY`], whatever it is: an item has two bytes at least.
const SHORT: usize = 2 * ANY / LARGEST;

/// Passes if the message does not claim too much.
///
/// # Errors
/// [`Error::TooMuch`], or what is wrong with the bytes.
pub(crate) fn check(descriptor: &'static MessageDescriptor, bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() < SHORT {
        return Ok(());
    }
    let most = ANY.max(TIMES.saturating_mul(bytes.len()));
    let mut left = most;
    if take(descriptor, bytes, MAX_DEPTH, &mut left)? { Ok(()) } else { Err(Error::TooMuch(most)) }
}

/// What an entry of a map takes: its key and its value.
fn entry(of_value: usize) -> usize {
    size_of::<String>() + of_value
}

/// Takes what a message claims from what is left; false if that is not enough.
fn take(
    descriptor: &'static MessageDescriptor,
    mut bytes: &[u8],
    depth: usize,
    left: &mut usize,
) -> Result<bool, Error> {
    let depth = depth.checked_sub(1).ok_or(Error::TooDeep)?;
    // Which map's entry came last: those of one map stand together.
    let mut last_map = None;
    while !bytes.is_empty() {
        let (number, wire_type) = decode_key(&mut bytes).map_err(malformed)?;
        let field = descriptor.index_of_number(number).map(|index| &descriptor.fields[index]);
        let Some(field) = field.filter(|_| wire_type == WireType::LengthDelimited) else {
            skip(wire_type, number, &mut bytes)?;
            continue;
        };
        let value = length_delimited(&mut bytes)?;
        let of_value =
            if let Kind::Message(message) = field.kind { message.size } else { size_of::<String>() };
        let claimed = match field.presence {
            Presence::Repeated => of_value,
            Presence::Map => {
                let entries = if last_map.replace(number) == Some(number) { 1 } else { NODE };
                entries * entry(of_value)
            }
            Presence::Required | Presence::Optional if field.is_boxed => of_value,
            Presence::Required | Presence::Optional => 0,
        };
        let Some(rest) = left.checked_sub(claimed) else { return Ok(false) };
        *left = rest;
        let Kind::Message(message) = field.kind else { continue };
        if field.presence == Presence::Map {
            for value in map_values(value)? {
                if !take(message, value, depth, left)? {
                    return Ok(false);
                }
            }
        } else if !take(message, value, depth, left)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::proto::{MESSAGES, Message as _};
    use crate::v1::scheduler::Call;
    use crate::{internal, json, v1, wire};

    /// A field of these bytes.
    fn field(number: u32, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::bytes::encode(number, &value.to_vec(), &mut bytes);
        bytes
    }

    /// ACCEPT with so many operations of which nothing is said.
    fn accept(operations: usize) -> Vec<u8> {
        field(4, &field(2, &[]).repeat(operations))
    }

    fn claims_too_much<T: crate::Message>(bytes: &[u8]) -> bool {
        match check(T::descriptor(), bytes) {
            Ok(()) => false,
            Err(Error::TooMuch(_)) => true,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn no_message_is_larger_than_is_thought() {
        let largest = MESSAGES.iter().max_by_key(|message| message.size).unwrap();
        assert!(largest.size <= LARGEST, "{}: {}", largest.full_name, largest.size);
        let fields = MESSAGES.iter().flat_map(|message| message.fields.iter().map(move |f| (message, f)));
        let maps = fields.clone().filter(|(_, field)| field.presence == Presence::Map);
        for (message, field) in maps {
            let of_value = if let Kind::Message(value) = field.kind { value.size } else { 0 };
            assert!(NODE * entry(of_value) <= LARGEST, "{}.{}", message.full_name, field.name);
        }
        let boxed = fields.filter(|(_, field)| field.is_boxed);
        let names: Vec<_> = boxed.map(|(message, field)| (message.full_name, field.name)).collect();
        for (message, field) in [("mesos.v1.Resource", "disk"), ("mesos.v1.ContainerID", "parent")] {
            assert!(names.contains(&(message, field)), "{names:?}");
        }
    }

    #[test]
    fn a_list_of_what_has_two_bytes_on_the_wire_is_refused_before_memory_is_taken() {
        let most = ANY / v1::offer::Operation::descriptor().size;
        assert!(!claims_too_much::<Call>(&accept(most)));
        assert!(claims_too_much::<Call>(&accept(most + 1)));
        let error = wire::decode::<Call>(&accept(100_000)).unwrap_err();
        assert!(error.to_string().contains("would take more than 67108864 bytes of memory"), "{error}");
        let text =
            format!(r#"{{"type":"ACCEPT","accept":{{"operations":[{}{{}}]}}}}"#, "{},".repeat(100_000));
        let error = json::from_slice::<Call>(text.as_bytes()).unwrap_err();
        assert!(matches!(error, json::Error::TooMuch(_)), "{error}");
    }

    #[test]
    fn what_is_boxed_counts_and_texts_and_maps_do_not_claim_too_much() {
        // Resource.disk, in TaskInfo.resources.
        let disks = |count| field(4, &field(7, &[])).repeat(count);
        let resource = v1::Resource::descriptor().size + v1::resource::DiskInfo::descriptor().size;
        let most = ANY / resource;
        assert!(!claims_too_much::<v1::TaskInfo>(&disks(most)));
        assert!(claims_too_much::<v1::TaskInfo>(&disks(most + 1)));
        // Call.Suppress.roles, and QuotaConfig.limits, each with an empty value.
        let roles = field(16, &field(1, &[]).repeat(3_000_000));
        assert!(!claims_too_much::<Call>(&roles));
        let limits = field(3, &field(2, &[])).repeat(2_500_000);
        assert!(!claims_too_much::<v1::quota::QuotaConfig>(&limits));
    }

    /// 16 MB of them took 1.7 GB.
    #[test]
    fn a_map_of_one_entry_claims_what_it_takes() {
        // Call.UpdateQuota.quota_configs, each with a guarantee and a limit of which nothing is said.
        let config = field(2, &[field(2, &[]), field(3, &[])].concat());
        let quotas = |count| field(20, &config.repeat(count));
        let two_maps = 2 * 11 * (size_of::<String>() + v1::value::Scalar::descriptor().size);
        let most = ANY / (v1::quota::QuotaConfig::descriptor().size + two_maps);
        assert!(!claims_too_much::<v1::master::Call>(&quotas(most)));
        assert!(claims_too_much::<v1::master::Call>(&quotas(most + 1)));
        // What there really is: four amounts are guaranteed, and four are the limits.
        let amount = |name: &str| (name.to_owned(), v1::value::Scalar { value: 1.5 });
        let amounts: BTreeMap<_, _> = ["cpus", "disk", "gpus", "mem"].map(amount).into();
        let config =
            v1::quota::QuotaConfig { role: "r".to_owned(), guarantees: amounts.clone(), limits: amounts };
        let quotas = field(20, &field(2, &wire::encode(&config)).repeat(100_000));
        assert!(!claims_too_much::<v1::master::Call>(&quotas));
    }

    /// What frameworks and agents send at most of.
    #[test]
    fn long_lists_of_what_there_really_is_are_read() {
        let id = v1::TaskId { value: "a1b2".to_owned() };
        let status = v1::TaskStatus { task_id: id.clone(), state: 1, ..Default::default() };
        let statuses = vec![status; 300_000];
        let message = internal::ReconcileTasksMessage { statuses, ..Default::default() };
        assert!(!claims_too_much::<internal::ReconcileTasksMessage>(&message.write_protobuf()));
        let resource = v1::Resource { name: "cpus".to_owned(), ..Default::default() };
        let task = v1::TaskInfo { task_id: id, resources: vec![resource; 2], ..Default::default() };
        let launch = v1::offer::operation::Launch { task_infos: vec![task] };
        let operation = v1::offer::Operation { launch: Some(launch), ..Default::default() };
        let operation = wire::encode(&operation);
        // Each task of its own operation.
        assert!(!claims_too_much::<Call>(&field(4, &field(2, &operation).repeat(10_000))));
    }
}
