//! The codecs that the generated `Serialize` and `Deserialize` of messages call, one for each kind
//! of field. Reading, a codec may find that a value means "unset" (`null`, an unknown enum name).

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};

use crate::proto::{Enum, Message, MessageDescriptor, Presence};
use crate::v1::{Label, Labels};

// ---- writing

/// An enum's number, written as its name.
struct EnumName<E> {
    number: i32,
    kind: PhantomData<E>,
}

impl<E: Enum> EnumName<E> {
    fn new(number: i32) -> Self {
        Self { number, kind: PhantomData }
    }

    /// Nothing for a number without a name: to JSON such a field is unset.
    fn known(number: Option<i32>) -> Option<Self> {
        number.filter(|number| E::try_from(*number).is_ok()).map(Self::new)
    }
}

impl<E: Enum> Serialize for EnumName<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match E::try_from(self.number) {
            Ok(value) => serializer.serialize_str(value.name()),
            // Only a required field that this program set to a number without a name.
            Err(_) => serializer.collect_str(&self.number),
        }
    }
}

/// A list of enum numbers, written as those of their names that are known.
struct EnumNames<'a, E> {
    numbers: &'a [i32],
    kind: PhantomData<E>,
}

impl<'a, E: Enum> EnumNames<'a, E> {
    fn new(numbers: &'a [i32]) -> Self {
        Self { numbers, kind: PhantomData }
    }
}

impl<E: Enum> Serialize for EnumNames<'_, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = self.numbers.iter().filter_map(|number| E::try_from(*number).ok());
        serializer.collect_seq(known.map(Enum::name))
    }
}

/// Bytes, written in base64.
struct Base64<'a>(&'a Vec<u8>);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

// ---- reading: one value

/// Reads a `T`; `None` means unset.
trait Codec<T>: for<'de> Deserialize<'de> {
    fn value(self) -> Option<T>;
}

/// What serde reads by itself: strings and messages.
struct Plain<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Plain<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self)
    }
}

impl<T: serde::de::DeserializeOwned> Codec<T> for Plain<T> {
    fn value(self) -> Option<T> {
        self.0
    }
}

/// `true`, or the same in quotes.
struct LenientBool(Option<bool>);

impl<'de> Deserialize<'de> for LenientBool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = LenientBool;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a boolean")
            }
            fn visit_unit<E>(self) -> Result<LenientBool, E> {
                Ok(LenientBool(None))
            }
            fn visit_bool<E>(self, value: bool) -> Result<LenientBool, E> {
                Ok(LenientBool(Some(value)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LenientBool, E> {
                match text.trim() {
                    "true" => Ok(LenientBool(Some(true))),
                    "false" => Ok(LenientBool(Some(false))),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Codec<bool> for LenientBool {
    fn value(self) -> Option<bool> {
        self.0
    }
}

/// A type that JSON numbers become.
pub(super) trait Numeric: Sized + Copy + fmt::Display {
    /// The least and the largest value.
    const BOUNDS: (Self, Self);
    fn from_unsigned(value: u64) -> Option<Self>;
    fn from_signed(value: i64) -> Option<Self>;
    fn from_double(value: f64) -> Option<Self>;
    /// From the text of a JSON number.
    fn from_text(text: &str) -> Option<Self> {
        match serde_json::from_str(text.trim()).ok()? {
            serde_json::Value::Number(number) => number
                .as_u64()
                .map(Self::from_unsigned)
                .or_else(|| number.as_i64().map(Self::from_signed))
                .or_else(|| number.as_f64().map(Self::from_double))?,
            _ => None,
        }
    }
}

macro_rules! integer {
    ($($kind:ty),*) => {$(
        impl Numeric for $kind {
            const BOUNDS: (Self, Self) = (<$kind>::MIN, <$kind>::MAX);
            fn from_unsigned(value: u64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_signed(value: i64) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_double(value: f64) -> Option<Self> {
                // The fraction is cut off, as upstream does. The comparison is exact: both bounds
                // (or the next double beyond the upper one) are powers of two.
                let whole = value.trunc();
                let fits = whole >= <$kind>::MIN as f64 && whole < <$kind>::MAX as f64 + 1.0;
                fits.then_some(whole as $kind)
            }
        }
    )*};
}
integer!(i32, i64, u32, u64);

impl Numeric for f64 {
    const BOUNDS: (Self, Self) = (f64::MIN, f64::MAX);
    fn from_unsigned(value: u64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_signed(value: i64) -> Option<Self> {
        Some(value as f64)
    }
    fn from_double(value: f64) -> Option<Self> {
        Some(value)
    }
    fn from_text(text: &str) -> Option<Self> {
        match text {
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => serde_json::from_str(text.trim()).ok(),
        }
    }
}

/// A number, or the same in quotes.
struct Number<T>(Option<T>);

impl<'de, T: Numeric> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Numeric> Visitor<'_> for Reader<T> {
            type Value = Number<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a number that fits {}", std::any::type_name::<T>())
            }
            fn visit_unit<E>(self) -> Result<Number<T>, E> {
                Ok(Number(None))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Number<T>, E> {
                let number = T::from_unsigned(value);
                number
                    .map(|number| Number(Some(number)))
                    .ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Number<T>, E> {
                let number = T::from_signed(value);
                number
                    .map(|number| Number(Some(number)))
                    .ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
            }
            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Number<T>, E> {
                let number = T::from_double(value);
                number
                    .map(|number| Number(Some(number)))
                    .ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number<T>, E> {
                let number = T::from_text(text);
                number
                    .map(|number| Number(Some(number)))
                    .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<T: Numeric> Codec<T> for Number<T> {
    fn value(self) -> Option<T> {
        self.0
    }
}

/// Base64 text, read as bytes.
struct FromBase64(Option<Vec<u8>>);

impl<'de> Deserialize<'de> for FromBase64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = FromBase64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes in base64")
            }
            fn visit_unit<E>(self) -> Result<FromBase64, E> {
                Ok(FromBase64(None))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FromBase64, E> {
                STANDARD.decode(text).map(|bytes| FromBase64(Some(bytes))).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl Codec<Vec<u8>> for FromBase64 {
    fn value(self) -> Option<Vec<u8>> {
        self.0
    }
}

/// An enum's name, read as its number. A name that is not known counts as unset, unless `STRICT`.
struct FromEnumName<E, const STRICT: bool>(Option<i32>, PhantomData<E>);

impl<'de, E: Enum, const STRICT: bool> Deserialize<'de> for FromEnumName<E, STRICT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<E, const STRICT: bool>(PhantomData<E>);
        impl<E: Enum, const STRICT: bool> Visitor<'_> for Reader<E, STRICT> {
            type Value = FromEnumName<E, STRICT>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a name of {}", E::descriptor().full_name)
            }
            fn visit_unit<X>(self) -> Result<Self::Value, X> {
                Ok(FromEnumName(None, PhantomData))
            }
            fn visit_str<X: serde::de::Error>(self, name: &str) -> Result<Self::Value, X> {
                match E::from_name(name) {
                    Some(value) => Ok(FromEnumName(Some(value.into()), PhantomData)),
                    None if STRICT => Err(X::custom(format_args!("Failed to find enum for '{name}'"))),
                    None => Ok(FromEnumName(None, PhantomData)),
                }
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<E: Enum, const STRICT: bool> Codec<i32> for FromEnumName<E, STRICT> {
    fn value(self) -> Option<i32> {
        self.0
    }
}

// ---- reading: one field

fn required<'de, T, C: Codec<T>, A: MapAccess<'de>>(
    map: &mut A,
    slot: &mut T,
    missing: &mut u64,
    bit: u64,
) -> Result<(), A::Error> {
    match map.next_value::<C>()?.value() {
        Some(value) => {
            *slot = value;
            *missing &= !bit;
        }
        None => *missing |= bit,
    }
    Ok(())
}

fn optional<'de, T, C: Codec<T>, A: MapAccess<'de>>(
    map: &mut A,
    slot: &mut Option<T>,
) -> Result<(), A::Error> {
    *slot = map.next_value::<C>()?.value();
    Ok(())
}

fn repeated<'de, T, C: Codec<T>, A: MapAccess<'de>>(map: &mut A, slot: &mut Vec<T>) -> Result<(), A::Error> {
    struct Items<T, C>(Vec<T>, PhantomData<C>);
    impl<'de, T, C: Codec<T>> Deserialize<'de> for Items<T, C> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Reader<T, C>(PhantomData<(T, C)>);
            impl<'de, T, C: Codec<T>> Visitor<'de> for Reader<T, C> {
                type Value = Items<T, C>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a list")
                }
                fn visit_unit<E>(self) -> Result<Self::Value, E> {
                    Ok(Items(Vec::new(), PhantomData))
                }
                fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                    let mut items = Vec::new();
                    while let Some(item) = seq.next_element::<C>()? {
                        items.extend(item.value());
                    }
                    Ok(Items(items, PhantomData))
                }
            }
            deserializer.deserialize_any(Reader(PhantomData))
        }
    }
    *slot = map.next_value::<Items<T, C>>()?.0;
    Ok(())
}

fn string_map<'de, T, C: Codec<T>, A: MapAccess<'de>>(
    map: &mut A,
    slot: &mut BTreeMap<String, T>,
) -> Result<(), A::Error> {
    struct Entries<T, C>(BTreeMap<String, T>, PhantomData<C>);
    impl<'de, T, C: Codec<T>> Deserialize<'de> for Entries<T, C> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Reader<T, C>(PhantomData<(T, C)>);
            impl<'de, T, C: Codec<T>> Visitor<'de> for Reader<T, C> {
                type Value = Entries<T, C>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }
                fn visit_unit<E>(self) -> Result<Self::Value, E> {
                    Ok(Entries(BTreeMap::new(), PhantomData))
                }
                fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                    let mut entries = BTreeMap::new();
                    while let Some(key) = map.next_key::<String>()? {
                        if let Some(value) = map.next_value::<C>()?.value() {
                            entries.insert(key, value);
                        }
                    }
                    Ok(Entries(entries, PhantomData))
                }
            }
            deserializer.deserialize_any(Reader(PhantomData))
        }
    }
    *slot = map.next_value::<Entries<T, C>>()?.0;
    Ok(())
}

/// Steps over a field that this build does not know.
fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

// ---- reading: a message

/// Implemented by the build script for each message.
trait FromJson: Message {
    /// A bit for each required field, in the order of declaration.
    const REQUIRED: u64;

    /// Reads the value of the field at that position of the descriptor.
    fn read_field<'de, A: MapAccess<'de>>(
        &mut self,
        field: usize,
        missing: &mut u64,
        map: &mut A,
    ) -> Result<(), A::Error>;
}

fn read_message<'de, T: FromJson, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Reader<T>(PhantomData<T>);
    impl<'de, T: FromJson> Visitor<'de> for Reader<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
            let mut message = T::default();
            let mut missing = T::REQUIRED;
            while let Some(field) = map.next_key_seed(FieldIndex(T::descriptor()))? {
                message.read_field(field, &mut missing, &mut map)?;
            }
            if missing == 0 { Ok(message) } else { Err(A::Error::custom(absent::<T>(missing))) }
        }
    }
    deserializer.deserialize_map(Reader(PhantomData))
}

/// Names the fields whose bits are left.
fn absent<T: FromJson>(missing: u64) -> crate::json::Error {
    let fields = T::descriptor().fields.iter();
    let required = fields.filter(|field| field.presence == Presence::Required);
    let names = required.enumerate().filter(|(bit, _)| missing & (1 << bit) != 0);
    crate::json::Error::Missing(names.map(|(_, field)| field.name.to_owned()).collect())
}

/// Reads a key as the position of the field that it names, or a position beyond all fields.
struct FieldIndex(&'static MessageDescriptor);

impl<'de> DeserializeSeed<'de> for FieldIndex {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for FieldIndex {
    type Value = usize;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }
    fn visit_str<E>(self, name: &str) -> Result<usize, E> {
        Ok(self.0.index_of(name).unwrap_or(usize::MAX))
    }
}

/// Labels are read as if they were generated. (They are written in `labels.rs`.)
impl FromJson for Labels {
    const REQUIRED: u64 = 0;

    fn read_field<'de, A: MapAccess<'de>>(
        &mut self,
        field: usize,
        _missing: &mut u64,
        map: &mut A,
    ) -> Result<(), A::Error> {
        if field != 0 {
            return skip(map);
        }
        let mut labels = Vec::new();
        repeated::<Label, Plain<_>, A>(map, &mut labels)?;
        *self = labels.into_iter().collect();
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_message(deserializer)
    }
}

/// Generated: the implementations of `Serialize`, `FromJson` and `Deserialize`.
#[allow(clippy::all, reason = "generated")]
mod generated {
    use super::*;
    include!(concat!(env!("OUT_DIR"), "/serde.rs"));
}
