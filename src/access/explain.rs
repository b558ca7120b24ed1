//! Why a request is allowed or not: which rule of which policy decides, and the smallest policy that would allow it.
//!
//! The gate's own judgement is asked, so that the two cannot differ. Knows nothing of tokens, nor of how policies are kept.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

use super::acl::{Acl, Capabilities};
use super::conditions::Unmet;
use super::gate::{self, Ask, Verdict};
use super::policies::ROOT_POLICY;
use super::policy::{self, Grant, Pattern, Rule};
use crate::api::Error;
use crate::barrier::{Stored, View};

/// What is asked: whether policies allow this.
pub struct Question<'a> {
    pub ask: Ask<'a>,
    /// What the operation needs on its path.
    pub needed: Capabilities,
}

/// One of the policies whose rights are in question.
pub struct Named {
    pub name: String,
    pub rules: Vec<Written>,
}

/// A rule, and its path as the policy has it: what a template became for somebody shows in the rule only.
pub struct Written {
    pub path: String,
    pub rule: Rule,
}

impl Named {
    /// A policy as it is for somebody: templates without a value for him are left out.
    pub fn filled<'v>(name: &str, rules: Vec<Rule>, value: impl Fn(&str) -> Option<&'v str>) -> Self {
        let filled = |rule: Rule| {
            let path = rule.pattern.to_string();
            let pattern = match rule.pattern {
                Pattern::Template(template) => Pattern::filled(&template, &value)?,
                pattern => pattern,
            };
            Some(Written { path, rule: Rule { pattern, ..rule } })
        };
        Self { name: name.to_owned(), rules: rules.into_iter().filter_map(filled).collect() }
    }
}

/// What decides, and how.
pub struct Explanation {
    pub reason: Reason,
    /// The rule for the path; none if there is none, or if the policy `root` makes all rules needless.
    pub rule: Option<Deciding>,
    /// The text of a policy that allows this if it is added. `None`: no added policy would help.
    pub smallest_policy: Option<String>,
    /// The names of the policies that were asked.
    policies: Vec<String>,
}

/// Why something is allowed or not.
#[derive(Debug, PartialEq, Eq)]
pub enum Reason {
    Root,
    Granted,
    NoRule,
    Deny,
    /// The rule grants other things than these.
    Lacks(Capabilities),
    Unmet(Unmet),
}

/// The rule that decides. Several policies may have it.
pub struct Deciding {
    pub pattern: Pattern,
    pub capabilities: Capabilities,
    /// Who says what for these paths.
    pub policies: Vec<Source>,
}

/// What one policy says for the paths of the rule that decides.
pub struct Source {
    pub name: String,
    /// As the policy has it.
    pub path: String,
    pub capabilities: Capabilities,
}

/// Explains what some policies say to a question.
pub fn explain(policies: &[Named], question: &Question<'_>) -> Result<Explanation, Error> {
    let acl =
        if policies.iter().any(|policy| policy.name == ROOT_POLICY) { Acl::root() } else { merged(policies, &[]) };
    let verdict = judge(&acl, question)?;
    let rule = grant_of(&verdict).and_then(|grant| Deciding::of(&acl, grant, policies));
    let reason = Reason::of(verdict, question);
    let pattern = rule.as_ref().map(|rule| &rule.pattern);
    let smallest_policy = smallest(policies, question, pattern)?;
    let policies = policies.iter().map(|policy| policy.name.clone()).collect();
    Ok(Explanation { reason, rule, smallest_policy, policies })
}

fn judge<'a>(acl: &'a Acl, question: &Question<'_>) -> Result<Verdict<'a>, Error> {
    gate::judge(acl, &question.ask, || Ok(question.needed))
}

fn merged(policies: &[Named], more: &[Rule]) -> Acl {
    let rules = policies.iter().flat_map(|policy| &policy.rules).map(|written| &written.rule);
    Acl::of(rules.chain(more).cloned())
}

fn grant_of<'a>(verdict: &Verdict<'a>) -> Option<&'a Grant> {
    match verdict {
        Verdict::Root | Verdict::NoRule => None,
        Verdict::Granted(grant) | Verdict::Denied(grant) | Verdict::Lacks(grant, _) | Verdict::Unmet(grant, _) => {
            Some(grant)
        }
    }
}

impl Reason {
    fn of(verdict: Verdict<'_>, question: &Question<'_>) -> Self {
        match verdict {
            Verdict::Root => Self::Root,
            Verdict::Granted(_) => Self::Granted,
            Verdict::NoRule => Self::NoRule,
            Verdict::Denied(grant) if grant.capabilities == Capabilities::NONE => Self::Lacks(question.needed),
            Verdict::Denied(_) => Self::Deny,
            Verdict::Lacks(_, needed) => Self::Lacks(needed),
            Verdict::Unmet(_, unmet) => Self::Unmet(unmet),
        }
    }

    /// The word that programs read.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Granted => "granted",
            Self::NoRule => "no_rule",
            Self::Deny => "deny",
            Self::Lacks(_) => "capability_missing",
            Self::Unmet(Unmet::WrappingTtl { .. }) => "wrapping_ttl",
            Self::Unmet(_) => "parameter_refused",
        }
    }
}

impl Deciding {
    fn of(acl: &Acl, grant: &Grant, policies: &[Named]) -> Option<Self> {
        let pattern = acl.pattern_of(grant)?;
        let said = |policy: &Named| {
            let rules = policy.rules.iter().filter(|written| written.rule.pattern == pattern);
            let path = rules.clone().next()?.path.clone();
            let capabilities = rules.fold(Capabilities::NONE, |all, written| all | written.rule.grant.capabilities);
            Some(Source { name: policy.name.clone(), path, capabilities })
        };
        let policies = policies.iter().filter_map(said).collect();
        Some(Self { pattern, capabilities: grant.capabilities, policies })
    }
}

impl Explanation {
    pub fn is_allowed(&self) -> bool {
        matches!(self.reason, Reason::Root | Reason::Granted)
    }

    /// What decides, as people read it.
    pub fn text(&self) -> String {
        let mut text = self.cause();
        match &self.smallest_policy {
            _ if self.is_allowed() => {}
            Some(policy) => drop(write!(text, "; this policy would allow it: {policy}")),
            None if self.reason == Reason::Deny => text += "; no policy that is added can allow it",
            None => text += "; the request would have to be another",
        }
        text
    }

    fn cause(&self) -> String {
        let Some(rule) = &self.rule else {
            return match self.reason {
                Reason::Root => "the policy \"root\" allows everything".to_owned(),
                _ => format!("no rule for this path is in {}", Listed(&self.policies)),
            };
        };
        let names: Vec<_> = rule.policies.iter().map(|policy| policy.name.clone()).collect();
        let rule = format!("the rule for {:?} in {}", rule.pattern.to_string(), Listed(&names));
        match &self.reason {
            Reason::Root | Reason::Granted | Reason::NoRule => format!("{rule} allows it"),
            Reason::Deny => format!("{rule} denies it"),
            Reason::Lacks(needed) => format!("{rule} does not grant {}", needed.names().join(" and ")),
            Reason::Unmet(unmet) => format!("{rule} {unmet}"),
        }
    }
}

/// Names of policies in a sentence.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "the policy" } else { "the policies" })?;
        self.0.iter().enumerate().try_for_each(|(index, name)| {
            let separator = if index > 0 { "," } else { "" };
            write!(f, "{separator} {name:?}")
        })
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrappingTtl { min, max } => {
                f.write_str("asks for an answer that is wrapped")?;
                min.map_or(Ok(()), |min| write!(f, ", for {} s at least", min.as_secs()))?;
                max.map_or(Ok(()), |max| write!(f, ", for {} s at most", max.as_secs()))
            }
            Self::Required(name) => write!(f, "asks for the parameter {name:?}"),
            Self::Denied(name) => write!(f, "refuses the parameter {name:?}, or its value"),
            Self::NotAllowed(name) => write!(f, "does not list the parameter {name:?}, or its value"),
            Self::Unreadable => f.write_str("has conditions on parameters, and these cannot be read"),
        }
    }
}

// === whether it is offered ===

/// Whether a caller who is refused hears why.
pub fn is_offered(view: &View<'_>) -> Result<bool, Error> {
    Ok(view.get::<Offer>(OFFER_PATH)?.is_some_and(|found| found.value.enabled))
}

/// Sets whether a caller who is refused hears why.
pub fn offer(view: &View<'_>, enabled: bool) -> Result<(), Error> {
    let mut change = view.change();
    change.put(OFFER_PATH, &Offer { enabled })?;
    change.commit()?;
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Offer {
    enabled: bool,
}

impl Stored for Offer {
    const VERSION: u8 = 1;
}

// === the smallest policy ===

/// The policy with the least paths and the least conditions that is enough. It is tried out, added to the others.
fn smallest(policies: &[Named], question: &Question<'_>, deciding: Option<&Pattern>) -> Result<Option<String>, Error> {
    for path in paths(question.ask.path, deciding) {
        let mut added = Added { path, capabilities: question.needed, ..Added::default() };
        while let Ok(rules) = policy::parse(&added.to_string()) {
            match judge(&merged(policies, &rules), question)? {
                Verdict::Root | Verdict::Granted(_) => return Ok(Some(added.to_string())),
                Verdict::Unmet(_, unmet) if added.meet(&unmet, question) => {}
                Verdict::NoRule | Verdict::Denied(_) | Verdict::Lacks(..) | Verdict::Unmet(..) => break,
            }
        }
    }
    Ok(None)
}

/// Paths as rules have them that stand for a path, those that stand for the fewest others first.
fn paths(path: &str, deciding: Option<&Pattern>) -> Vec<String> {
    // A path that ends in `*` cannot be written but as a beginning.
    let plain = if path.ends_with('*') { format!("{path}*") } else { path.to_owned() };
    // What reads like a template cannot be written but as any segment.
    let any = |segment| if is_braced(segment) { "+" } else { segment };
    let loose = path.split('/').map(any).collect::<Vec<_>>().join("/");
    let loose = (loose != path).then_some(loose);
    [Some(plain), loose, deciding.map(Pattern::to_string)].into_iter().flatten().collect()
}

fn is_braced(segment: &str) -> bool {
    segment.contains("{{") || segment.contains("}}")
}

/// A policy of one rule.
#[derive(Default)]
struct Added {
    path: String,
    capabilities: Capabilities,
    /// Parameters that the rule for the same path does not list. Their values are not told.
    parameters: Vec<String>,
    wrapping_ttl_min_s: Option<u64>,
}

impl Added {
    /// Adds what a request lacks that this did not give it yet. Whether it is enough is another question.
    fn meet(&mut self, unmet: &Unmet, question: &Question<'_>) -> bool {
        match unmet {
            Unmet::NotAllowed(name) if !self.parameters.contains(name) && self.parameters.len() < PARAMETERS_MAX => {
                self.parameters.push(name.clone());
                true
            }
            Unmet::WrappingTtl { min: Some(_), .. } if self.wrapping_ttl_min_s.is_none() => {
                self.wrapping_ttl_min_s = question.ask.wrap_ttl.map(|ttl| ttl.as_secs());
                self.wrapping_ttl_min_s.is_some()
            }
            _ => false,
        }
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.capabilities.names().into_iter().map(|name| format!("{name:?}")).collect();
        writeln!(f, "path {} {{", Quoted(&self.path))?;
        writeln!(f, "  capabilities = [{}]", names.join(", "))?;
        if !self.parameters.is_empty() {
            writeln!(f, "  allowed_parameters = {{")?;
            self.parameters.iter().try_for_each(|name| writeln!(f, "    {} = []", Quoted(name)))?;
            writeln!(f, "  }}")?;
        }
        if let Some(seconds) = self.wrapping_ttl_min_s {
            writeln!(f, "  min_wrapping_ttl = \"{seconds}s\"")?;
        }
        f.write_str("}\n")
    }
}

/// A text in HCL. A `${` is written so that nobody takes it for an expression.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut chars = self.0.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '"' | '\\' => write!(f, "\\{char}")?,
                '$' if chars.peek() == Some(&'{') => f.write_str("\\x24")?,
                char if char.is_control() => write!(f, "\\u{:04x}", u32::from(char))?,
                char => f.write_char(char)?,
            }
        }
        f.write_char('"')
    }
}

const OFFER_PATH: &str = "config/explain";
/// Parameters that a smallest policy lists.
const PARAMETERS_MAX: usize = 100;

#[cfg(test)]
mod tests;
