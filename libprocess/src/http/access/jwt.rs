//! JSON Web Tokens that are signed with a shared secret: HS256 (RFC 7519, RFC 7518; upstream: jwt.cpp).
//!
//! Pure: text in, claims out, by the time that the caller gives. Only `exp` is heeded, as upstream; a token without
//! it holds for ever. The texts of errors are upstream's as far as they are its own and not its JSON parser's: they
//! reach clients in the challenge. RS256 would cost an implementation of RSA, and nothing in Mesos uses it.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;

/// What a token says: a JSON object.
pub type Claims = Map<String, Value>;

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// Why a text is no token to believe. The text stands behind `Invalid JWT: ` in the challenge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JwtError(String);

fn error<T>(text: impl Into<String>) -> Result<T, JwtError> {
    Err(JwtError(text.into()))
}

/// Signs claims.
pub fn sign(claims: &Claims, secret: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims.clone()).to_string());
    let signed = format!("{header}.{payload}");
    let signature = URL_SAFE_NO_PAD.encode(digest(&signed, secret).finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// Reads a token: its claims, if the signature is right and it has not expired by `now`.
///
/// # Errors
/// When it is malformed, signed in another way or with another secret, or expired.
pub fn verify(token: &str, secret: &[u8], now: SystemTime) -> Result<Claims, JwtError> {
    if token.len() > MAX_TOKEN {
        return error(format!("Token is longer than {MAX_TOKEN} bytes"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return error(format!("Expected 3 components in token, got {}", parts.len()));
    };
    check_header(header)?;
    let claims = decode(payload).map_err(|JwtError(text)| in_part("payload", &text))?;
    check_expiry(&claims, now)?;
    let tag = decode_base64(signature)
        .map_err(|text| JwtError(format!("Failed to base64url-decode token signature: {text}")))?;
    // In constant time.
    match digest(&token[..header.len() + 1 + payload.len()], secret).verify_slice(&tag) {
        Ok(()) => Ok(claims),
        Err(_) => error("Token signature does not match"),
    }
}

fn digest(signed: &str, secret: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of every length");
    mac.update(signed.as_bytes());
    mac
}

/// The only header that is understood: HS256, and no extension that would have to be.
fn check_header(text: &str) -> Result<(), JwtError> {
    let header = decode(text).map_err(|JwtError(text)| in_part("header", &text))?;
    if header.get("typ").is_some_and(|typ| !typ.is_string()) {
        return error("Token 'typ' is not a string");
    }
    match header.get("alg") {
        None => return error("Failed to locate 'alg' in token JSON header"),
        Some(Value::String(alg)) => match alg.as_str() {
            "HS256" => {}
            "none" | "RS256" => {
                return error(format!("Token 'alg' value \"{alg}\" does not match, expected \"HS256\""));
            }
            other => return error(format!("Unsupported token algorithm: {other}")),
        },
        Some(_) => return error("Token 'alg' field is not a string"),
    }
    if header.contains_key("crit") {
        return error("Token 'crit' field is unsupported");
    }
    Ok(())
}

fn check_expiry(claims: &Claims, now: SystemTime) -> Result<(), JwtError> {
    let Some(exp) = claims.get("exp") else { return Ok(()) };
    let Some(exp) = exp.as_f64() else { return error("JSON payload 'exp' field is not a number") };
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Whole seconds; the conversion saturates.
    let exp = exp as i64;
    if exp < i64::try_from(now).unwrap_or(i64::MAX) {
        return error(format!("Token has expired: exp({exp}) < now({now})"));
    }
    Ok(())
}

fn in_part(part: &str, text: &str) -> JwtError {
    JwtError(format!("Failed to decode token {part}: {text}"))
}

fn decode(part: &str) -> Result<Claims, JwtError> {
    let bytes =
        decode_base64(part).map_err(|text| JwtError(format!("Failed to base64url-decode: {text}")))?;
    serde_json::from_slice(&bytes).map_err(|error| JwtError(format!("Failed to parse into JSON: {error}")))
}

/// Padding is none of the format; upstream overlooks it.
fn decode_base64(text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    const SECRET: &[u8] = b"secret";

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)
    }

    fn claims(value: Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    /// A token of these parts, rightly signed.
    fn token(header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let tag = URL_SAFE_NO_PAD.encode(digest(&signed, SECRET).finalize().into_bytes());
        format!("{signed}.{tag}")
    }

    fn refusal(token: &str) -> String {
        verify(token, SECRET, now()).unwrap_err().to_string()
    }

    /// The example of RFC 7515, appendix A.1: its header, payload and key are spread over lines.
    #[test]
    fn the_token_of_the_rfc_is_read() {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
            eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
            dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let read = verify(token, &key, now()).unwrap();
        assert_eq!(
            Value::Object(read),
            json!({"iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true})
        );
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1_300_819_381);
        assert_eq!(
            verify(token, &key, late).unwrap_err().to_string(),
            "Token has expired: exp(1300819380) < now(1300819381)"
        );
    }

    #[test]
    fn what_was_signed_is_read_with_the_same_secret_alone() {
        let said = claims(json!({"fid": "f", "eid": "e", "exp": 1_000, "list": [1, 2]}));
        let signed = sign(&said, SECRET);
        assert_eq!(verify(&signed, SECRET, now()), Ok(said.clone()));
        assert_eq!(verify(&format!("{signed}="), SECRET, now()), Ok(said));
        assert_eq!(verify(&signed, b"other", now()).unwrap_err().0, "Token signature does not match");
        let other = sign(&claims(json!({"fid": "g"})), SECRET);
        let forged = format!("{}.{}", other.rsplit_once('.').unwrap().0, signed.rsplit_once('.').unwrap().1);
        assert_eq!(refusal(&forged), "Token signature does not match");
    }

    #[test]
    fn a_token_is_refused_for_what_is_wrong_with_it() {
        let good = r#"{"alg":"HS256","typ":"JWT"}"#;
        for (token, text) in [
            ("a.b".to_owned(), "Expected 3 components in token, got 2"),
            (String::new(), "Expected 3 components in token, got 1"),
            (
                token(r#"{"alg":"none"}"#, "{}"),
                "Token 'alg' value \"none\" does not match, expected \"HS256\"",
            ),
            (
                token(r#"{"alg":"RS256"}"#, "{}"),
                "Token 'alg' value \"RS256\" does not match, expected \"HS256\"",
            ),
            (token(r#"{"alg":"HS512"}"#, "{}"), "Unsupported token algorithm: HS512"),
            (token(r#"{"alg":1}"#, "{}"), "Token 'alg' field is not a string"),
            (token(r#"{"typ":"JWT"}"#, "{}"), "Failed to locate 'alg' in token JSON header"),
            (token(r#"{"alg":"HS256","typ":1}"#, "{}"), "Token 'typ' is not a string"),
            (token(r#"{"alg":"HS256","crit":["x"]}"#, "{}"), "Token 'crit' field is unsupported"),
            (token(good, r#"{"exp":999}"#), "Token has expired: exp(999) < now(1000)"),
            (token(good, r#"{"exp":"999"}"#), "JSON payload 'exp' field is not a number"),
            ("x".repeat(MAX_TOKEN + 1), "Token is longer than 16384 bytes"),
        ] {
            assert_eq!(refusal(&token), text);
        }
        for (token, beginning) in [
            ("!.e30.".to_owned(), "Failed to decode token header: Failed to base64url-decode: "),
            (token("[]", "{}"), "Failed to decode token header: Failed to parse into JSON: "),
            (token(good, "nonsense"), "Failed to decode token payload: Failed to parse into JSON: "),
            (
                format!("{}.!", token(good, "{}").rsplit_once('.').unwrap().0),
                "Failed to base64url-decode token signature: ",
            ),
        ] {
            let text = refusal(&token);
            assert!(text.starts_with(beginning), "{text}");
        }
    }
}
