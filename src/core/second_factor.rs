//! Logins that need more than one thing: they wait until a second factor is brought, or come with it.
//!
//! Who waits is kept in memory, for a few minutes: after a restart he begins again. Knows nothing of how factors are judged.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::logins::LoginDesk;
use super::mounts::Mount;
use super::new_uuid;
use crate::access::mfa::{Enforcement, Login as Demand, Mfa};
use crate::api::json::{Json, Object};
use crate::api::{Data, Error, Grant, Login, Reply, Token};
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engine::Factors;

/// Somebody whom a login method knows, before he has a token.
pub(super) struct Entrant {
    /// The endpoint where he logged in.
    pub(super) path: String,
    /// The mount of the method, and where it was.
    pub(super) mount: Uuid,
    pub(super) mount_path: String,
    /// Empty for nobody in particular.
    pub(super) entity_id: String,
    pub(super) grant: Grant,
}

/// Those who wait, by the identifier of their request.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<HashMap<String, (Timestamp, Entrant)>>);

impl Waiting {
    fn add(&self, entrant: Entrant, now: Timestamp) -> Result<String, Error> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, (since, _)| is_fresh(*since, now));
        let own = waiting.iter().filter(|(_, (_, other))| other.entity_id == entrant.entity_id);
        let own: Vec<(Timestamp, String)> = own.map(|(id, (since, _))| (*since, id.clone())).collect();
        // Nobody keeps others from waiting.
        if own.len() >= WAITING_PER_ENTITY_MAX
            && let Some((_, oldest)) = own.iter().min()
        {
            waiting.remove(oldest);
        }
        if waiting.len() >= WAITING_MAX {
            return Err(Error::Unavailable("too many logins wait for their second factor".into()));
        }
        let id = new_uuid().to_string();
        waiting.insert(id.clone(), (now, entrant));
        Ok(id)
    }

    /// Takes one out, so that nobody else finds him.
    fn take(&self, id: &str, now: Timestamp) -> Option<(Timestamp, Entrant)> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)?;
        Some(found).filter(|(since, _)| is_fresh(*since, now))
    }

    fn put_back(&self, id: &str, since: Timestamp, entrant: Entrant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), (since, entrant));
    }
}

fn is_fresh(since: Timestamp, now: Timestamp) -> bool {
    since.checked_add(WAITING_TIME_MAX).is_ok_and(|end| now < end)
}

impl LoginDesk<'_> {
    /// Lets somebody in, at once or when he has brought a second factor.
    pub(super) fn enter(
        &self,
        entrant: Entrant,
        mount: &Mount,
        sent: &[String],
        now: Timestamp,
    ) -> Result<Reply, Error> {
        let demanded = self.demanded(&entrant, mount)?;
        if demanded.is_empty() {
            return self.admit(&entrant, mount, now);
        }
        if entrant.entity_id.is_empty() {
            return Err(Error::Forbidden("MFA validation failed. entity not found".into()));
        }
        if sent.is_empty() {
            let requirement = requirement(&self.platform(), &demanded)?;
            let id = self.active.waiting.add(entrant, now)?;
            return Ok(ask(&id, &requirement));
        }
        self.judge(&entrant.entity_id, &demanded, &in_headers(sent), now)?;
        self.admit(&entrant, mount, now)
    }

    /// Lets somebody in who waits. What fails leaves him waiting.
    pub(super) fn enter_waiting(&self, id: &str, factors: &Factors, now: Timestamp) -> Result<Reply, Error> {
        let found = self.active.waiting.take(id, now);
        let (since, entrant) = found.ok_or_else(|| Error::invalid("invalid request ID"))?;
        let entered = self.enter_with(&entrant, factors, now);
        if entered.is_err() {
            self.active.waiting.put_back(id, since, entrant);
        }
        entered
    }

    fn enter_with(&self, entrant: &Entrant, factors: &Factors, now: Timestamp) -> Result<Reply, Error> {
        let mount = self.active.mounts.at(&entrant.mount_path).filter(|mount| mount.entry.uuid == entrant.mount);
        let mount = mount.ok_or_else(|| Error::NoMount(entrant.path.clone()))?;
        let person = self.active.tokens.identity.person(&self.platform(), &entrant.entity_id)?;
        if person.is_none_or(|person| person.entity.disabled) {
            return Err(Error::Denied);
        }
        self.judge(&entrant.entity_id, &self.demanded(entrant, &mount)?, factors, now)?;
        self.admit(entrant, &mount, now)
    }

    /// What this login must satisfy.
    fn demanded(&self, entrant: &Entrant, mount: &Mount) -> Result<Vec<Enforcement>, Error> {
        let mut demanded = Mfa::enforcements(&self.platform())?;
        if demanded.is_empty() {
            return Ok(demanded);
        }
        let person = self.active.tokens.identity.person(&self.platform(), &entrant.entity_id)?;
        let (mount_accessor, mount_kind) = (mount.entry.accessor.as_str(), mount.kind);
        let demand = Demand { person: person.as_ref(), mount_accessor, mount_kind };
        demanded.retain(|enforcement| enforcement.is_for(&demand));
        Ok(demanded)
    }

    /// Whether what somebody brings is enough. A factor is judged once, however many enforcements ask for it.
    fn judge(&self, entity: &str, demanded: &[Enforcement], factors: &Factors, now: Timestamp) -> Result<(), Error> {
        let view = self.platform();
        let mut verdicts: HashMap<&str, Result<(), String>> = HashMap::new();
        for enforcement in demanded {
            let mut problems = Vec::new();
            let mut is_satisfied = false;
            for id in &enforcement.method_ids {
                let Some(method) = Mfa::method(&view, id)? else { continue };
                let by_name = || factors.get(&method.name).filter(|_| !method.name.is_empty());
                let Some(sent) = factors.get(id).or_else(by_name) else { continue };
                if !verdicts.contains_key(id.as_str()) {
                    let verdict = match passcode(sent) {
                        Ok(code) => Mfa::verify(&view, &method, entity, code, now)?,
                        Err(problem) => Err(problem.to_owned()),
                    };
                    verdicts.insert(id, verdict);
                }
                match verdicts.get(id.as_str()) {
                    Some(Err(problem)) => problems.push(problem.clone()),
                    Some(Ok(())) => is_satisfied = true,
                    None => {}
                }
                if is_satisfied {
                    break;
                }
            }
            if !is_satisfied {
                return Err(unsatisfied(enforcement, problems));
            }
        }
        Ok(())
    }

    fn platform(&self) -> View<'_> {
        self.active.platform.view(self.horizon)
    }
}

fn unsatisfied(enforcement: &Enforcement, mut problems: Vec<String>) -> Error {
    problems.push(format!("login MFA validation failed for methodID: [{}]", enforcement.method_ids.join(" ")));
    let noun = if problems.len() == 1 { "error" } else { "errors" };
    let told: String = problems.iter().map(|problem| format!("\t* {problem}\n")).collect();
    let name = &enforcement.name;
    let text = format!("failed to satisfy enforcement {name}. error: {} {noun} occurred:\n{told}\n", problems.len());
    Error::Forbidden(text.into())
}

/// The one code among what was sent for a method, which may be called so.
fn passcode(sent: &[String]) -> Result<&str, &'static str> {
    let mut codes =
        sent.iter().map(|sent| sent.strip_prefix("passcode=").unwrap_or(sent)).filter(|code| !code.is_empty());
    match (codes.next(), codes.next()) {
        (Some(code), None) => Ok(code),
        (None, _) => Err("MFA credentials not supplied"),
        (Some(_), Some(_)) => Err("found multiple passcodes for the same MFA method"),
    }
}

/// Factors as their header has them: the method, and behind a colon the code.
fn in_headers(sent: &[String]) -> Factors {
    let mut factors = Factors::new();
    for header in sent {
        let (method, code) = header.split_once(':').unwrap_or((header, ""));
        factors.entry(method.trim().to_owned()).or_default().push(code.to_owned());
    }
    factors
}

/// Which methods would do, by enforcement.
fn requirement(view: &View<'_>, demanded: &[Enforcement]) -> Result<Json, Error> {
    let mut constraints = Object::default();
    for enforcement in demanded {
        let methods = enforcement.method_ids.iter().map(|id| Mfa::method(view, id));
        let methods = methods.collect::<Result<Vec<_>, _>>()?;
        constraints.set_object(&enforcement.name, |constraint| {
            constraint.set_list("any", methods.iter().flatten(), |item, method| {
                item.set("id", &method.id).set("name", &method.name).set("type", "totp").set("uses_passcode", true);
            });
        });
    }
    Ok(constraints.finish())
}

/// The answer to a login that has to wait.
fn ask(id: &str, Json(constraints): &Json) -> Reply {
    let mut requirement = Object::default();
    requirement.set_json("mfa_constraints", constraints).set("mfa_request_id", id);
    let login = Login {
        token: Token::new(""),
        accessor: String::new(),
        policies: Vec::new(),
        identity_policies: Vec::new(),
        entity_id: String::new(),
        batch: false,
        metadata: None,
        ttl: Duration::ZERO,
        renewable: false,
        orphan: false,
        num_uses: 0,
        mfa_requirement: Some(requirement.finish()),
    };
    let reply = Reply { data: Data::Null, ..Reply::login(login) };
    reply.warn(
        "A login request was issued that is subject to MFA validation. Please make sure to validate the login by sending \
         another request to mfa/validate endpoint.",
    )
}

/// How long somebody may take to bring a second factor.
const WAITING_TIME_MAX: Duration = Duration::from_mins(5);
/// Logins that wait at once, and those of one entity.
const WAITING_MAX: usize = 10_000;
const WAITING_PER_ENTITY_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn entrant(entity: &str) -> Entrant {
        let (path, mount_path, entity_id) = ("auth/u/login/x".to_owned(), "auth/u/".to_owned(), entity.to_owned());
        Entrant { path, mount: Uuid::nil(), mount_path, entity_id, grant: Grant::default() }
    }

    #[test]
    fn who_waits_is_found_once_and_not_for_ever() {
        let (waiting, start) = (Waiting::default(), Timestamp::UNIX_EPOCH);
        let id = waiting.add(entrant("a"), start).unwrap();
        assert!(waiting.take("other", start).is_none());
        let late = start.checked_add(WAITING_TIME_MAX).unwrap() - Duration::from_nanos(1);
        let (since, found) = waiting.take(&id, late).unwrap();
        assert!(found.entity_id == "a" && waiting.take(&id, late).is_none());
        waiting.put_back(&id, since, found);
        assert!(waiting.take(&id, start.checked_add(WAITING_TIME_MAX).unwrap()).is_none());
    }

    #[test]
    fn nobody_keeps_others_from_waiting() {
        let waiting = Waiting::default();
        let at = |second: u64| Timestamp::UNIX_EPOCH.checked_add(Duration::from_secs(second)).unwrap();
        let other = waiting.add(entrant("b"), at(0)).unwrap();
        let own: Vec<String> = (0..30).map(|second| waiting.add(entrant("a"), at(second)).unwrap()).collect();
        let left = own.iter().filter(|id| waiting.take(id, at(30)).is_some()).count();
        assert_eq!(left, WAITING_PER_ENTITY_MAX);
        assert!(waiting.take(&own[9], at(30)).is_none() && waiting.take(&other, at(30)).is_some());
    }

    #[test]
    fn codes_may_be_called_so() {
        let check = |sent: &[&str], expected: Option<&str>| {
            let sent: Vec<String> = sent.iter().map(|sent| (*sent).to_owned()).collect();
            assert_eq!(passcode(&sent).ok(), expected, "{sent:?}");
        };
        check(&["123456"], Some("123456"));
        check(&["passcode=123456"], Some("123456"));
        check(&["", "123456"], Some("123456"));
        check(&["123456", "123457"], None);
        check(&["123456", "passcode=123456"], None);
        check(&["passcode="], None);
        check(&[], None);
        let factors = in_headers(&["a:1".to_owned(), "b:passcode=2:3".to_owned(), "c".to_owned(), "a:4".to_owned()]);
        let found: Vec<_> = factors.iter().map(|(method, codes)| (method.as_str(), codes.join("|"))).collect();
        assert_eq!(found, [("a", "1|4".to_owned()), ("b", "passcode=2:3".to_owned()), ("c", String::new())]);
    }
}
