//! The RSA key of a scope for which others wrap keys that they send. Does not know what those keys are.

use serde::{Deserialize, Serialize};

use crate::api::Error;
use crate::barrier::{self, Stored, StoredBytes, View};
use crate::crypto::{key_transport, rsa};

/// The wrapping key of a scope, which is made when it is first needed.
pub fn of(view: &View<'_>) -> Result<rsa::PrivateKey, Error> {
    if let Some(key) = stored_key(view)? {
        return Ok(key);
    }
    let key = key_transport::generate_wrapping_key().map_err(Error::internal)?;
    let record = WrappingKey { key: StoredBytes(key.to_pkcs1().map_err(Error::internal)?) };
    let mut change = view.change();
    change.expect_absent(PATH).put(PATH, &record)?;
    match change.commit() {
        Ok(_) => Ok(key),
        // Another request was faster, and what it answered stands.
        Err(barrier::Error::Conflict) => {
            stored_key(view)?.ok_or_else(|| Error::internal("the wrapping key is there and is not"))
        }
        Err(error) => Err(error.into()),
    }
}

fn stored_key(view: &View<'_>) -> Result<Option<rsa::PrivateKey>, Error> {
    let Some(found) = view.get::<WrappingKey>(PATH)? else { return Ok(None) };
    rsa::PrivateKey::from_pkcs1(&found.value.key.0).map(Some).map_err(Error::internal)
}

#[derive(Serialize, Deserialize)]
struct WrappingKey {
    /// PKCS#1, DER.
    key: StoredBytes,
}

impl Stored for WrappingKey {
    const VERSION: u8 = 1;
}

const PATH: &str = "wrapping-key";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::barrier::{Horizon, RootKey, Sealed};
    use crate::storage::Memory;

    /// Whoever loses the race answers with the winner's key.
    #[test]
    fn the_first_wrapping_key_stays() {
        let sealed = Sealed::new(Arc::new(Memory::new()));
        let scope = sealed.initialise(&RootKey::new([7; 32]), b"seal".to_vec()).unwrap().platform();
        let ask = || of(&scope.view(&Horizon::default())).unwrap().to_pkcs1().unwrap();
        let racing = thread::scope(|threads| {
            let racers = [threads.spawn(ask), threads.spawn(ask)];
            racers.map(|racer| racer.join().unwrap())
        });
        assert_eq!(racing, [ask(), ask()]);
    }
}
