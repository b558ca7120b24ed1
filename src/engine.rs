//! What an engine is made of: rows of the route table, each a request struct that runs itself.
//!
//! A handler gets a `Call`: the request, the proof that its sender may do this, and the mount's view of storage. There is
//! no other way to storage. Knows nothing of any one engine, and nothing of HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use crate::access::Admitted;
use crate::access::gate::{self, Ask};
use crate::access::tokens::TokenRecord;
use crate::api::route::{Access, Captures, Match, Row, Shape, Table, Work};
use crate::api::{Data, Error, Grant, Op, Params, Reply, Request, TokenParams, exact, weak};
use crate::barrier::View;
use crate::clock::Timestamp;

pub mod hash;
pub mod jws;
pub mod random;
pub mod records;
pub mod wrapping_key;

/// A request that knows how to run itself. Its documentation is the endpoint's, its fields are the parameters.
pub trait Endpoint: DeserializeOwned + JsonSchema {
    /// What it runs on: its engine.
    type On: ?Sized;
    /// A body that says of itself that it is bytes is taken as such; the parameters are in the query then.
    const TAKES_OCTETS: bool = false;
    /// Its parameters are read as Go reads a struct: see [`exact`].
    const EXACT: bool = false;

    fn run(self, on: &Self::On, call: &Call<'_>) -> Result<Reply, Error>;
}

/// A write that may create its object: it needs the capability `create` or `update`, depending on what is there.
pub trait Upsert: Endpoint {
    fn exists(on: &Self::On, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error>;
}

/// One request on its way through an engine.
pub struct Call<'a> {
    pub request: &'a Request,
    /// Where the engine is mounted; ends in `/`.
    pub mount: &'a str,
    pub captures: Captures<'a>,
    pub admitted: Admitted,
    pub now: Timestamp,
    /// The mount's part of storage; none while the barrier is sealed.
    pub view: Option<View<'a>>,
    /// What the core does for login methods; nothing while the barrier is sealed.
    pub logins: Option<&'a dyn Logins>,
}

/// A token that a login made is about to be renewed.
pub struct Renewal<'a> {
    /// The part of storage of the mount that made it.
    pub view: View<'a>,
    /// The request that renews it.
    pub request: &'a Request,
    pub token: &'a TokenRecord,
    pub now: Timestamp,
}

/// What the core does for login methods and about the tokens that came of them.
pub trait Logins {
    /// Makes the token that a method grants, or asks for a second factor first.
    fn log_in(&self, call: &Call<'_>, grant: Grant) -> Result<Reply, Error>;

    /// Makes the token of a login that waits for a second factor, if this is it.
    fn bring_factors(&self, call: &Call<'_>, login: &str, factors: &Factors) -> Result<Reply, Error>;

    /// Refuses a guess at a name that is locked.
    fn refuse_locked(&self, call: &Call<'_>, name: &str) -> Result<(), Error>;

    /// Notes how a guess at a name went.
    fn settle_guess(&self, call: &Call<'_>, name: &str, right: bool) -> Result<(), Error>;

    /// What the method says that once granted a token.
    fn renew(&self, call: &Call<'_>, token: &TokenRecord) -> Result<Renewed, Error>;

    /// The identifier of the entity that a token made here belongs to under a name; it is made if there is none.
    fn entity_of(&self, call: &Call<'_>, alias: &str) -> Result<String, Error>;

    /// Where login methods and engines are mounted.
    fn mounts(&self) -> Vec<KnownMount>;
}

/// Codes, by the identifier or the name of their method.
pub type Factors = BTreeMap<String, Vec<String>>;

/// A mount as identities know it.
pub struct KnownMount {
    pub accessor: String,
    /// Ends in `/`.
    pub path: String,
    pub kind: String,
    /// Whether it is not replicated.
    pub local: bool,
}

/// What decides how long a token lives on.
pub struct Renewed {
    /// What the login method that made it says: see [`Engine::renew`].
    pub token: Option<TokenParams>,
    /// The life that is usual at its mount, and the longest.
    pub ttl_default: Duration,
    pub ttl_max: Duration,
}

impl<'a> Call<'a> {
    /// The mount's part of storage.
    pub fn view(&self) -> Result<View<'a>, Error> {
        self.view.ok_or(Error::Sealed)
    }

    /// The token that a login method grants, as an answer.
    pub fn log_in(&self, grant: Grant) -> Result<Reply, Error> {
        self.logins.ok_or(Error::Sealed)?.log_in(self, grant)
    }

    /// The token of a login that waits for a second factor, as an answer.
    pub fn bring_factors(&self, login: &str, factors: &Factors) -> Result<Reply, Error> {
        self.logins.ok_or(Error::Sealed)?.bring_factors(self, login, factors)
    }

    /// Compares what somebody sent with what it should be: `None` is a wrong guess. Too many of them in a row, and the name
    /// is locked for a while. A method has one spelling of a name, and lets nobody know whether there is one.
    pub fn guess<T>(&self, name: &str, compare: impl FnOnce() -> Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        let logins = self.logins.ok_or(Error::Sealed)?;
        logins.refuse_locked(self, name)?;
        let found = compare()?;
        logins.settle_guess(self, name, found.is_some())?;
        Ok(found)
    }

    /// Where login methods and engines are mounted.
    pub fn mounts(&self) -> Vec<KnownMount> {
        self.logins.map(Logins::mounts).unwrap_or_default()
    }

    /// What the method that granted a token says of it now that it is renewed.
    pub fn renewed(&self, token: &TokenRecord) -> Result<Renewed, Error> {
        self.logins.ok_or(Error::Sealed)?.renew(self, token)
    }

    /// The entity that a token made here belongs to under a name.
    pub fn entity_of(&self, alias: &str) -> Result<String, Error> {
        self.logins.ok_or(Error::Sealed)?.entity_of(self, alias)
    }

    /// Whether the sender may also read another path below the mount.
    pub fn may_read(&self, path: &str) -> Result<bool, Error> {
        let path = format!("{}{path}", self.mount);
        let ask = Ask { op: Op::Read, path: &path, params: &Params::None, wrap_ttl: None };
        match gate::admit(self.admitted.known_caller()?, Access::Token, &ask, || None) {
            Ok(_) => Ok(true),
            Err(Error::Denied) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A row with the code behind it.
pub struct Route<E: ?Sized + 'static> {
    pub row: Row,
    run: fn(&E, &Call<'_>) -> Result<Reply, Error>,
    exists: Option<Exists<E>>,
}

type Exists<E> = fn(&E, &Captures<'_>, &View<'_>) -> Result<bool, Error>;

pub const fn read<Q: Endpoint>(path: &'static str) -> Route<Q::On> {
    Route::new::<Q>(Op::Read, path)
}

pub const fn list<Q: Endpoint>(path: &'static str) -> Route<Q::On> {
    Route::new::<Q>(Op::List, path)
}

pub const fn scan<Q: Endpoint>(path: &'static str) -> Route<Q::On> {
    Route::new::<Q>(Op::Scan, path)
}

pub const fn write<Q: Endpoint>(path: &'static str) -> Route<Q::On> {
    Route::new::<Q>(Op::Write, path)
}

pub const fn upsert<Q: Upsert>(path: &'static str) -> Route<Q::On> {
    let mut route = Route::new::<Q>(Op::Write, path);
    route.row.creates = true;
    Route { exists: Some(Q::exists), run: run_upsert::<Q>, ..route }
}

pub const fn patch<Q: Endpoint>(path: &'static str) -> Route<Q::On> {
    Route::new::<Q>(Op::Patch, path)
}

pub const fn delete<Q: Endpoint>(path: &'static str) -> Route<Q::On> {
    Route::new::<Q>(Op::Delete, path)
}

impl<E: ?Sized + 'static> Route<E> {
    const fn new<Q: Endpoint<On = E>>(op: Op, path: &'static str) -> Self {
        let row = Row {
            op,
            path,
            access: Access::Token,
            while_sealed: false,
            shape: Shape::Enveloped,
            work: Work::Quick,
            creates: false,
            takes_octets: Q::TAKES_OCTETS,
            schema: schema::<Q>,
        };
        Self { row, run: run::<Q>, exists: None }
    }

    /// Needs no token.
    pub const fn open(mut self) -> Self {
        self.row.access = Access::Open;
        self
    }

    /// Needs the `sudo` capability.
    pub const fn sudo(mut self) -> Self {
        self.row.access = Access::Sudo;
        self
    }

    /// Takes shares of the key that people hold, in place of a token.
    pub const fn shares(mut self) -> Self {
        self.row.access = Access::Shares;
        self
    }

    /// Is answered while the barrier is sealed.
    pub const fn while_sealed(mut self) -> Self {
        self.row.while_sealed = true;
        self
    }

    /// Answers without an envelope.
    pub const fn bare(mut self) -> Self {
        self.row.shape = Shape::Bare;
        self
    }

    /// Answers with its data beside the envelope, too.
    pub const fn echoed(mut self) -> Self {
        self.row.shape = Shape::Echoed;
        self
    }

    /// Takes long, or waits: runs on a thread that may block.
    pub const fn slow(mut self) -> Self {
        self.row.work = Work::Slow;
        self
    }
}

fn schema<Q: Endpoint>(generator: &mut SchemaGenerator) -> Schema {
    Q::json_schema(generator)
}

fn run<Q: Endpoint>(on: &Q::On, call: &Call<'_>) -> Result<Reply, Error> {
    decode_and_run::<Q>(on, call, true)
}

fn run_upsert<Q: Upsert>(on: &Q::On, call: &Call<'_>) -> Result<Reply, Error> {
    decode_and_run::<Q>(on, call, false)
}

/// Decodes the request and runs it. Parameters without effect are worth a warning, where there is an answer to carry it.
fn decode_and_run<Q: Endpoint>(on: &Q::On, call: &Call<'_>, validated: bool) -> Result<Reply, Error> {
    if Q::EXACT {
        return exact::decode::<Q>(&call.request.params)?.run(on, call);
    }
    let decoded = match &call.request.params {
        Params::Octets(_, query) if Q::TAKES_OCTETS => weak::decode_query::<Q>(&call.captures, query),
        params => weak::decode::<Q>(&call.captures, params),
    };
    let decoded = decoded.map_err(|error| error.into_error(validated))?;
    let mut reply = decoded.request.run(on, call)?;
    let carries = !matches!(reply.data, Data::Nothing) || !reply.warnings.is_empty();
    if carries && reply.status.is_none() {
        reply.warnings.extend(decoded.warnings);
    }
    Ok(reply)
}

/// All rows of one engine type, arranged for look-up.
pub struct Rows<E: ?Sized + 'static> {
    routes: Vec<&'static Route<E>>,
    table: Table,
    /// The number of the first.
    first: usize,
}

impl<E: ?Sized + 'static> Rows<E> {
    pub fn new(tables: &'static [&'static [Route<E>]]) -> Self {
        let routes: Vec<_> = tables.iter().copied().flatten().collect();
        let table = Table::new(routes.iter().map(|route| &route.row));
        Self { routes, table, first: 0 }
    }

    /// The same with numbers from `first` on, by which they are counted among those of other types.
    pub fn numbered_from(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// Finds the row for an operation on a path below the mount.
    pub fn find<'p>(&self, op: Op, path: &'p str) -> Result<Target<'p>, Error> {
        match self.table.find(op, path) {
            Match::Row(route, captures) => {
                let row = self.route(route).map(|route| &route.row).ok_or(Error::UnsupportedPath)?;
                Ok(Target { route, row, number: self.first + route, captures })
            }
            // Vault does not know the method at all.
            Match::NoOperation | Match::NoPath if op == Op::Scan => Err(Error::UnknownMethod),
            Match::NoOperation if self.is_special(path) => Err(Error::UnknownMethod),
            // The path of a list request was given its slash by the server.
            Match::NoPath if op == Op::List && self.is_special(path.trim_end_matches('/')) => Err(Error::UnknownMethod),
            Match::NoOperation => Err(Error::UnsupportedOperation),
            Match::NoPath => Err(Error::UnsupportedPath),
        }
    }

    /// All rows, for help and documentation.
    pub fn rows(&self) -> Vec<&'static Row> {
        self.routes.iter().map(|route| &route.row).collect()
    }

    /// Whether a path is one that Vault serves by itself: no envelope, and no words for a wrong method either.
    fn is_special(&self, path: &str) -> bool {
        Op::ALL.iter().any(|op| match self.table.find(*op, path) {
            Match::Row(route, _) => self.route(route).is_some_and(|route| route.row.is_special()),
            Match::NoOperation | Match::NoPath => false,
        })
    }

    fn route(&self, index: usize) -> Option<&'static Route<E>> {
        self.routes.get(index).copied()
    }
}

/// An engine type.
pub trait Engine: Send + Sync + Sized + 'static {
    const ROUTES: &'static [&'static [Route<Self>]];

    /// Work that time brings. Called about once a second, on a thread that may block.
    fn tick(&self, _view: &View<'_>, _now: Timestamp) -> Result<(), Error> {
        Ok(())
    }

    /// A token that a login here made is about to be renewed. `None`: it lives on as it was granted. An error keeps it
    /// from being renewed, and it ends when it would have.
    fn renew(&self, _renewal: &Renewal<'_>) -> Result<Option<TokenParams>, Error> {
        Ok(None)
    }
}

/// An engine together with its rows, its type forgotten: what a mount holds.
pub trait Backend: Send + Sync {
    /// Finds the row for an operation on a path below the mount.
    fn find<'p>(&self, op: Op, path: &'p str) -> Result<Target<'p>, Error>;
    /// See `Route::exists`.
    fn exists(&self, target: &Target<'_>, view: &View<'_>) -> Option<Result<bool, Error>>;
    fn run(&self, route: usize, call: &Call<'_>) -> Result<Reply, Error>;
    /// See [`Engine::tick`].
    fn tick(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error>;
    /// See [`Engine::renew`].
    fn renew(&self, renewal: &Renewal<'_>) -> Result<Option<TokenParams>, Error>;
    /// All rows, for help and documentation.
    fn rows(&self) -> Vec<&'static Row>;
}

/// A row that was found, by its place in the table of its backend.
pub struct Target<'p> {
    pub route: usize,
    pub row: &'static Row,
    /// The row's number among those of all types.
    pub number: usize,
    pub captures: Captures<'p>,
}

/// An engine and the rows of its type.
pub struct Served<E: 'static> {
    pub rows: Arc<Rows<E>>,
    pub engine: Arc<E>,
}

impl<E: Engine> Backend for Served<E> {
    fn find<'p>(&self, op: Op, path: &'p str) -> Result<Target<'p>, Error> {
        self.rows.find(op, path)
    }

    fn exists(&self, target: &Target<'_>, view: &View<'_>) -> Option<Result<bool, Error>> {
        let exists = self.rows.route(target.route)?.exists?;
        Some(exists(&self.engine, &target.captures, view))
    }

    fn run(&self, route: usize, call: &Call<'_>) -> Result<Reply, Error> {
        let route = self.rows.route(route).ok_or(Error::UnsupportedPath)?;
        (route.run)(&self.engine, call)
    }

    fn tick(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        self.engine.tick(view, now)
    }

    fn renew(&self, renewal: &Renewal<'_>) -> Result<Option<TokenParams>, Error> {
        self.engine.renew(renewal)
    }

    fn rows(&self) -> Vec<&'static Row> {
        self.rows.rows()
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::access::Tokens;
    use crate::api::Token;
    use crate::barrier::{Horizon, Sealed};
    use crate::crypto::secret::Secret;
    use crate::storage::Memory;

    /// The rights to other paths are those of the sender, not those that the request itself needed.
    #[test]
    fn the_rights_to_other_paths_are_the_senders() {
        let platform =
            Sealed::new(Arc::new(Memory::new())).initialise(&Secret::new([7; 32]), Vec::new()).unwrap().platform();
        let horizon = Horizon::default();
        let view = platform.view(&horizon);
        let tokens = Tokens::open(&view).unwrap();
        let request = Request::new(Op::Write, "cubbyhole/a");
        let check = |policy: &str, mount: &str, path: &str, expected: bool| {
            let policies = vec![policy.to_owned()];
            let record =
                TokenRecord { policies, ..TokenRecord::root("auth/token/create", "token", Timestamp::UNIX_EPOCH) };
            let caller = tokens.create(&view, &Token::new(format!("{policy} {path}")), record).unwrap();
            let admitted = gate::admit(&caller, Access::Token, &(&request).into(), || None).unwrap();
            let (captures, now) = (Captures::default(), Timestamp::UNIX_EPOCH);
            let call = Call { request: &request, mount, captures, admitted, now, view: Some(view), logins: None };
            assert_eq!(call.may_read(path).unwrap(), expected, "{policy} {mount} {path}");
        };
        check("default", "cubbyhole/", "b/c", true);
        check("default", "secret/", "data/a", false);
        check("default", "", "auth/token/lookup-self", true);
        check("default", "", "auth/token/renew-self", false);
        check("root", "secret/", "data/a", true);
    }
}
