//! What holds of every message of the protocol, tried on random ones: it comes back from each
//! encoding as it went, and no bytes make a reader panic.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop where it fails")]

mod support;

use mesos::proto::MessageDescriptor;
use mesos::{Message, bincode_codec, json, required, wire};
use serde_json::{Value, json};
use support::{Fields, Random, message};

/// Random messages of each kind.
const ROUNDS: u64 = 12;

/// Goes through all three encodings and back. `seed` is for the failure's text.
fn round_trip<T: Message>(seed: u64) {
    let mut random = Random(seed);
    let given = message(T::descriptor(), &mut random, Fields::Some, 3);
    let context = || format!("{} from seed {seed}", T::FULL_NAME);

    let first: T = wire::decode(&given).unwrap_or_else(|error| panic!("{}: {error}", context()));
    let bytes = wire::encode(&first);
    let again: T = wire::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", context()));
    assert_eq!(again, first, "protobuf, {}", context());

    let bytes = bincode_codec::encode(&first);
    let again: T = bincode_codec::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", context()));
    assert_eq!(again, first, "bincode, {}", context());

    let text = json::to_vec(&first);
    let shown = || String::from_utf8_lossy(&text).into_owned();
    let again: T =
        json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error} in {}", context(), shown()));
    // Defaults are written where a field was unset: only the second time is nothing new.
    let second = json::to_vec(&again);
    assert_eq!(String::from_utf8_lossy(&second), shown(), "JSON, {}", context());
    let third: T = json::from_slice(&second).unwrap();
    assert_eq!(third, again, "JSON, {}", context());

    // The slow way reads what the quick way reads.
    let value = json::parse(&text).unwrap();
    let slow: T = json::from_value(&value).unwrap_or_else(|error| panic!("{}: {error}", context()));
    assert_eq!(slow, again, "JSON by way of a value, {}", context());

    // Where no default is unset, nothing is new the first time either, and nothing may be lost.
    let given = message(T::descriptor(), &mut random, Fields::WithDefaults, 3);
    let whole: T = wire::decode(&given).unwrap_or_else(|error| panic!("{}: {error}", context()));
    let again: T = json::from_slice(&json::to_vec(&whole)).unwrap();
    assert_eq!(again, whole, "JSON with all defaults, {}", context());
}

/// Damages a message in each encoding and reads it. What counts is that it ends without a panic;
/// what is accepted must hold what it promises.
fn survives_damage<T: Message>(seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut refused = 0;
    let bytes = message(T::descriptor(), &mut random, Fields::Some, 2);
    let sound: T = wire::decode(&bytes).unwrap();

    let damaged = damage(&bytes, &mut random);
    match wire::decode::<T>(&damaged) {
        Ok(read) => {
            let again = wire::decode::<T>(&wire::encode(&read));
            assert!(again.is_ok(), "{} from seed {seed}: {again:?}", T::FULL_NAME);
        }
        Err(_) => refused += 1,
    }
    let damaged = damage(&bincode_codec::encode(&sound), &mut random);
    refused += u64::from(bincode_codec::decode::<T>(&damaged).is_err());
    let damaged = damage(&json::to_vec(&sound), &mut random);
    refused += u64::from(json::from_slice::<T>(&damaged).is_err());
    refused
}

/// Some bytes changed, removed, doubled, or all replaced by noise.
fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    if random.below(8) == 0 {
        return random.bytes(64);
    }
    for _ in 0..=random.below(3) {
        let at = random.below(damaged.len());
        match random.below(4) {
            _ if damaged.is_empty() => damaged = random.bytes(16),
            0 => damaged[at] = random.next() as u8,
            1 => damaged.truncate(at),
            2 => drop(damaged.remove(at)),
            _ => damaged.extend_from_within(at..),
        }
    }
    damaged
}

#[test]
fn every_message_comes_back_from_every_encoding() {
    let mut kinds = 0;
    macro_rules! check {
        ($message:ty) => {
            kinds += 1;
            for round in 0..ROUNDS {
                round_trip::<$message>(kinds * 1000 + round);
            }
        };
    }
    mesos::for_each_message!(check);
    assert_eq!(kinds as usize, mesos::proto::MESSAGES.len());
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let (mut kinds, mut refused) = (0, 0);
    macro_rules! check {
        ($message:ty) => {
            kinds += 1;
            for round in 0..ROUNDS {
                refused += survives_damage::<$message>(kinds * 7777 + round);
            }
        };
    }
    mesos::for_each_message!(check);
    // The damage must be real: at least a quarter of it is noticed.
    assert!(refused * 4 > kinds * ROUNDS * 3, "{refused} of {}", kinds * ROUNDS * 3);
}

/// Puts something else in the place of some value.
fn exchange(value: &mut Value, random: &mut Random) {
    let inner = match value {
        Value::Object(object) => object.values_mut().collect::<Vec<_>>(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    let count = inner.len();
    if count > 0 && random.below(4) > 0 {
        let at = random.below(count);
        return inner.into_iter().nth(at).into_iter().for_each(|value| exchange(value, random));
    }
    let kept = value.take();
    *value = match random.below(10) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!("true"),
        3 => json!(-1),
        4 => json!("7"),
        5 => json!(1.5),
        6 => json!("\u{8}\u{1}"),
        7 => json!({ "value": kept }),
        8 => json!([kept]),
        _ => json!([[kept, null]]),
    };
}

/// Whatever stands in a field, the quick way takes it only as the slow way does. Whether it was taken.
fn agrees<T: Message>(seed: u64) -> bool {
    let mut random = Random(seed);
    let bytes = message(T::descriptor(), &mut random, Fields::Some, 3);
    let sound: T = wire::decode(&bytes).unwrap();
    let mut value = json::to_value(&sound);
    exchange(&mut value, &mut random);
    let text = value.to_string();
    let (quick, slow) = (json::from_slice::<T>(text.as_bytes()), json::from_value::<T>(&value));
    assert_eq!(quick, slow, "{} from seed {seed}: {text}", T::FULL_NAME);
    quick.is_ok()
}

#[test]
fn both_ways_to_read_json_make_the_same_of_what_is_not_regular() {
    let (mut kinds, mut taken) = (0, 0);
    macro_rules! check {
        ($message:ty) => {
            kinds += 1;
            taken += (0..ROUNDS).filter(|round| agrees::<$message>(kinds * 3331 + round)).count() as u64;
        };
    }
    mesos::for_each_message!(check);
    let all = kinds * ROUNDS;
    assert!(taken * 5 > all && (all - taken) * 5 > all, "{taken} of {all} were taken");
}

/// Every message that has a required field is refused without it, with all that is missing named.
#[test]
fn an_empty_message_is_refused_if_and_only_if_something_is_required() {
    let names = |descriptor: &MessageDescriptor| -> Vec<String> {
        let fields = descriptor.fields.iter();
        let required = fields.filter(|field| field.presence == mesos::proto::Presence::Required);
        required.map(|field| field.name.to_owned()).collect()
    };
    macro_rules! check {
        ($message:ty) => {
            let expected = names(<$message as Message>::descriptor());
            let in_bytes = required::check(<$message as Message>::descriptor(), &[]);
            let in_json = json::from_slice::<$message>(b"{}");
            if expected.is_empty() {
                assert_eq!(in_bytes, Ok(()));
                assert_eq!(in_json, Ok(<$message>::default()));
            } else {
                assert_eq!(in_bytes, Err(required::Error::Missing(expected.clone())));
                assert_eq!(in_json, Err(json::Error::Missing(expected)));
            }
        };
    }
    mesos::for_each_message!(check);
}
