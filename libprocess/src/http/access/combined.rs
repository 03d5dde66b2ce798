//! Several authenticators for one realm (upstream: src/authentication/http/combined_authenticator.cpp).

use std::time::SystemTime;

use futures::future::BoxFuture;

use super::{Authenticator, Principal, Refusal};
use crate::http::Request;

/// Asks its authenticators in their order; the first that knows the sender decides. If none does, the answer joins
/// theirs: 401 if any of them challenges, else 403, else 500.
pub struct Combined(Vec<Box<dyn Authenticator>>);

impl Combined {
    /// Of these, in this order.
    pub fn new(authenticators: Vec<Box<dyn Authenticator>>) -> Combined {
        Combined(authenticators)
    }
}

impl Authenticator for Combined {
    fn scheme(&self) -> String {
        self.0.iter().map(|authenticator| authenticator.scheme()).collect::<Vec<_>>().join(" ")
    }

    fn authenticate<'a>(
        &'a self,
        request: &'a Request,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Principal, Refusal>> {
        Box::pin(async move {
            let mut refusals = Vec::new();
            for authenticator in &self.0 {
                match authenticator.authenticate(request, now).await {
                    Ok(principal) => return Ok(principal),
                    Err(refusal) => refusals.push((authenticator.scheme(), refusal)),
                }
            }
            Err(join(refusals))
        })
    }
}

impl std::fmt::Debug for Combined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Combined").field(&self.scheme()).finish()
    }
}

/// One refusal of several, each with its scheme.
fn join(refusals: Vec<(String, Refusal)>) -> Refusal {
    let (mut challenges, mut unauthorized, mut forbidden, mut failed) = (vec![], vec![], vec![], vec![]);
    let quote = |scheme: &str, text: &str| format!("\"{scheme}\" authenticator returned:\n{text}");
    for (scheme, refusal) in &refusals {
        match refusal {
            Refusal::Unauthorized { challenges: these, text } => {
                challenges.push(these.join(", "));
                unauthorized.extend((!text.is_empty()).then(|| quote(scheme, text)));
            }
            Refusal::Forbidden(text) => forbidden.push(quote(scheme, text)),
            Refusal::Failed(text) => failed.push(quote(scheme, text)),
        }
    }
    if !challenges.is_empty() {
        // A comma without a space, as upstream has it here and nowhere else.
        return Refusal::Unauthorized {
            challenges: vec![challenges.join(",")],
            text: unauthorized.join("\n\n"),
        };
    }
    if !forbidden.is_empty() {
        return Refusal::Forbidden(forbidden.join("\n\n"));
    }
    match failed.is_empty() {
        true => Refusal::Failed("no authenticator knows the sender".to_owned()),
        false => Refusal::Failed(failed.join("\n\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Method;
    use futures::FutureExt;

    /// Answers every request alike.
    struct Always(&'static str, Result<Principal, Refusal>);

    impl Authenticator for Always {
        fn scheme(&self) -> String {
            self.0.to_owned()
        }
        fn authenticate<'a>(
            &'a self,
            _: &'a Request,
            _: SystemTime,
        ) -> BoxFuture<'a, Result<Principal, Refusal>> {
            Box::pin(std::future::ready(self.1.clone()))
        }
    }

    fn ask(answers: &[Result<Principal, Refusal>]) -> Result<Principal, Refusal> {
        let schemes = ["Basic", "Bearer"].into_iter();
        let each = schemes
            .zip(answers)
            .map(|(scheme, answer)| Box::new(Always(scheme, answer.clone())) as Box<dyn Authenticator>);
        let combined = Combined::new(each.collect());
        let request = Request::new(Method::GET, "/");
        combined.authenticate(&request, SystemTime::UNIX_EPOCH).now_or_never().unwrap()
    }

    #[test]
    fn the_first_that_knows_the_sender_decides() {
        let ops = || Ok(Principal::named("ops"));
        for refused in [Refusal::challenge("x"), Refusal::forbidden(), Refusal::Failed("broken".into())] {
            assert_eq!(ask(&[Err(refused.clone()), ops()]), ops());
            assert_eq!(ask(&[ops(), Err(refused)]), ops());
        }
    }

    #[test]
    fn refusals_are_joined_and_a_challenge_comes_before_all_others() {
        let (basic, bearer) =
            (Refusal::challenge("Basic realm=\"r\""), Refusal::challenge("Bearer realm=\"r\""));
        let forbidden = Refusal::Forbidden("no".into());
        let failed = Refusal::Failed("broken".into());
        let unauthorized = |challenge: &str, text: &str| Refusal::Unauthorized {
            challenges: vec![challenge.into()],
            text: text.into(),
        };
        let quoted = |scheme: &str| format!("\"{scheme}\" authenticator returned:\n401 Unauthorized.");
        assert_eq!(
            ask(&[Err(basic.clone()), Err(bearer)]),
            Err(unauthorized(
                "Basic realm=\"r\",Bearer realm=\"r\"",
                &format!("{}\n\n{}", quoted("Basic"), quoted("Bearer"))
            ))
        );
        for other in [&forbidden, &failed] {
            let challenge = Err(unauthorized("Basic realm=\"r\"", &quoted("Basic")));
            assert_eq!(ask(&[Err(basic.clone()), Err(other.clone())]), challenge);
        }
        let no = Err(Refusal::Forbidden("\"Basic\" authenticator returned:\nno".into()));
        assert_eq!(ask(&[Err(forbidden), Err(failed.clone())]), no);
        let broken = Err(Refusal::Failed("\"Basic\" authenticator returned:\nbroken".into()));
        assert_eq!(ask(&[Err(failed)]), broken);
        assert!(matches!(ask(&[]), Err(Refusal::Failed(_))));
    }
}
