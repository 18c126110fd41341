//! Both sides of a login, one against the other: what `Exchange` asks, `Login` answers.

use proptest::prelude::*;

use super::client::{Exchange, Proof, Random, Step};
use super::upstream::{Credential, Login, Reply};
use super::*;
use crate::config::settings::AuthMethod;
use crate::error::Kind;

const SEED: [u8; 32] = [3; 32];
const USER: &[u8] = b"app";

fn random() -> Random<'static> {
    Random {
        nonce: [7; 18],
        md5_salt: [1, 2, 3, 4],
        server_seed: &SEED,
        salted_by: b"app",
    }
}

fn plain() -> Secret {
    Secret::parse("secret").unwrap()
}

fn hash() -> Secret {
    Secret::Md5(md5::shadow(USER, b"secret"))
}

fn scram() -> Secret {
    Secret::Scram(ScramSecret::derive(
        &Password::new(b"secret"),
        b"0123456789abcdef",
        2,
    ))
}

fn password(text: &str) -> Credential {
    Credential::Password(Password::new(text.as_bytes()))
}

/// The authentication request in a frame: its kind and its data.
fn request(frame: &[u8]) -> (u32, &[u8]) {
    let [b'R', a, b, c, d, rest @ ..] = frame else {
        panic!("{frame:?}")
    };
    assert_eq!(
        u32::from_be_bytes([*a, *b, *c, *d]) as usize,
        rest.len().saturating_add(4)
    );
    let (kind, data) = rest.split_first_chunk::<4>().unwrap();
    (u32::from_be_bytes(*kind), data)
}

/// Logs in; the kinds of request on the way, and the end.
fn login(
    method: AuthMethod,
    secret: Option<&Secret>,
    credential: Credential,
) -> (Vec<u32>, Result<Proof, AuthError>) {
    let mut server = Exchange::new(method, USER, secret, random());
    let mut client = Login::new(USER, credential, [9; 18]);
    let mut asked = Vec::new();
    let mut step = server.start();
    let end = loop {
        step = match step {
            Step::Derive(work) => server.derived(&work.run()),
            Step::Refused(error) => break Err(error),
            Step::Verify(token) => panic!("nobody sent a {token:?}"),
            Step::Accepted { frames, proof } => {
                if !frames.is_empty() {
                    let (kind, data) = request(&frames);
                    asked.push(kind);
                    assert!(matches!(
                        client.on_authentication(kind, data),
                        Ok(Reply::Continue)
                    ));
                }
                assert!(matches!(client.on_authentication(0, b""), Ok(Reply::Ok)));
                break Ok(proof);
            }
            Step::Ask(frame) => {
                let (kind, data) = request(&frame);
                asked.push(kind);
                let answer = match client.on_authentication(kind, data) {
                    Ok(Reply::Send(answer)) => answer,
                    Ok(Reply::Derive(work)) => client.derived(&work.run()).unwrap(),
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => break Err(error),
                };
                assert_eq!(answer.first(), Some(&b'p'));
                server.answer(answer.get(5..).unwrap())
            }
        };
    };
    (asked, end)
}

/// The table of methods and secrets: what is asked, and what comes of the right password.
#[test]
fn each_method_with_each_secret() {
    use AuthMethod::{Md5, Password as Clear, Scram, Trust};
    let row = |method, secret: Option<Secret>| {
        let (asked, right) = login(method, secret.as_ref(), password("secret"));
        let right = match right {
            Ok(proof) => format!("{proof:?}").split('(').next().unwrap().to_owned(),
            Err(error) => error.to_string(),
        };
        let (asked_wrong, wrong) = login(method, secret.as_ref(), password("wrong"));
        if method != Trust {
            // Same questions; the server's last word only for those who were right.
            let asked: Vec<_> = asked.iter().copied().filter(|kind| *kind != 12).collect();
            assert_eq!(asked, asked_wrong);
            assert_eq!(wrong.unwrap_err().told(), Kind::InvalidPassword);
        }
        (asked, right)
    };
    let unfit = "the user's stored secret cannot be used with this auth method";
    for (method, secret, asked, end) in [
        (Trust, None, vec![], "Nothing"),
        (Trust, Some(plain()), vec![], "Nothing"),
        (Clear, Some(plain()), vec![3], "Password"),
        (Clear, Some(hash()), vec![3], "Password"),
        (Clear, Some(scram()), vec![3], "Password"),
        (Clear, None, vec![3], "no such user"),
        (Md5, Some(plain()), vec![5], "Password"),
        (Md5, Some(hash()), vec![5], "Md5Hash"),
        (Md5, Some(scram()), vec![10, 11, 12], "Scram"),
        (Md5, None, vec![5], "no such user"),
        (Scram, Some(plain()), vec![10, 11, 12], "Password"),
        (Scram, Some(hash()), vec![10, 11], unfit),
        (Scram, Some(scram()), vec![10, 11, 12], "Scram"),
        (Scram, None, vec![10, 11], "no such user"),
    ] {
        let name = format!("{method:?} {secret:?}");
        assert_eq!(row(method, secret), (asked, end.to_owned()), "{name}");
    }
}

#[test]
fn what_a_client_gave_away_opens_a_server_with_the_same_secret() {
    let (_, proof) = login(AuthMethod::Scram, Some(&scram()), password("secret"));
    let keys = Credential::from(proof.unwrap());
    let (_, passed) = login(AuthMethod::Scram, Some(&scram()), keys.clone());
    assert!(matches!(passed, Ok(Proof::Scram(_))));
    // A11: the same password under another salt is another secret.
    let other = ScramSecret::derive(&Password::new(b"secret"), b"another salt", 2);
    let (asked, refused) = login(AuthMethod::Scram, Some(&Secret::Scram(other)), keys);
    assert_eq!(
        (asked, refused.err()),
        (vec![10, 11], Some(AuthError::ForeignKeys))
    );

    let (_, proof) = login(AuthMethod::Md5, Some(&hash()), password("secret"));
    let (_, passed) = login(
        AuthMethod::Md5,
        Some(&hash()),
        Credential::from(proof.unwrap()),
    );
    assert!(matches!(passed, Ok(Proof::Md5Hash(_))));
}

// A4: three users, of whom one does not exist and one cannot log in, look the same until the end.
#[test]
fn nobody_can_tell_who_exists() {
    let challenge = |secret: Option<&Secret>| {
        let mut exchange = Exchange::new(AuthMethod::Scram, USER, secret, random());
        let mut step = exchange.start();
        let mut asked = Vec::new();
        if let Step::Derive(work) = &step {
            step = exchange.derived(&work.run());
        }
        let Step::Ask(frame) = step else {
            panic!("{step:?}")
        };
        asked.push(frame);
        let Step::Ask(frame) = exchange.answer(&initial(b"n,,n=,r=abc")) else {
            panic!()
        };
        asked.push(frame);
        asked
    };
    let unknown = challenge(None);
    assert_eq!(unknown, challenge(Some(&plain())));
    assert_eq!(unknown, challenge(Some(&hash())));
    assert_eq!(
        unknown.first().map(Vec::as_slice),
        Some(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0".as_slice())
    );
}

/// A SASLInitialResponse's body.
fn initial(message: &[u8]) -> Vec<u8> {
    let len = i32::try_from(message.len()).unwrap().to_be_bytes();
    [b"SCRAM-SHA-256\0", len.as_slice(), message].concat()
}

fn asked(method: AuthMethod, secret: &Secret) -> Exchange {
    let mut exchange = Exchange::new(method, USER, Some(secret), random());
    assert!(matches!(exchange.start(), Step::Ask(_)));
    exchange
}

fn refusal(step: Step) -> String {
    match step {
        Step::Refused(error) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

// A5, A6
#[test]
fn sasl_frames_must_end_exactly() {
    let malformed = "malformed message from the client: malformed SASLInitialResponse";
    let good = initial(b"n,,n=,r=abc");
    let answer = |body: &[u8]| asked(AuthMethod::Scram, &scram()).answer(body);
    assert!(matches!(answer(&good), Step::Ask(_)));
    for cut in 0..good.len() {
        assert_eq!(
            refusal(answer(good.get(..cut).unwrap())),
            malformed,
            "{cut}"
        );
    }
    assert_eq!(
        refusal(answer(&[good.as_slice(), b"x"].concat())),
        malformed
    );
    for len in [i32::MIN, -2, 12, i32::MAX] {
        let body = [
            b"SCRAM-SHA-256\0",
            len.to_be_bytes().as_slice(),
            b"n,,n=,r=abc",
        ]
        .concat();
        assert_eq!(refusal(answer(&body)), malformed, "{len}");
    }
    assert_eq!(refusal(answer(&initial(&[b'x'; 2000]))), malformed);
    assert_eq!(
        refusal(answer(b"SCRAM-SHA-256-PLUS\0\xff\xff\xff\xff")),
        "malformed message from the client: a SASL mechanism that was not offered"
    );
}

#[test]
fn the_first_message_may_come_after_an_empty_challenge_once() {
    let mut exchange = asked(AuthMethod::Scram, &scram());
    let Step::Ask(frame) = exchange.answer(b"SCRAM-SHA-256\0\xff\xff\xff\xff") else {
        panic!()
    };
    assert_eq!(request(&frame), (11, b"".as_slice()));
    let Step::Ask(frame) = exchange.answer(b"n,,n=,r=abc") else {
        panic!()
    };
    assert!(request(&frame).1.starts_with(b"r=abcBwcH"));

    let mut exchange = asked(AuthMethod::Scram, &scram());
    assert!(matches!(
        exchange.answer(b"SCRAM-SHA-256\0\xff\xff\xff\xff"),
        Step::Ask(_)
    ));
    let empty = "malformed message from the client: the SCRAM message is empty";
    assert_eq!(refusal(exchange.answer(b"")), empty);
}

#[test]
fn a_password_is_one_string_and_not_the_empty_one() {
    for secret in [plain(), hash()] {
        for method in [AuthMethod::Password, AuthMethod::Md5] {
            let answer = |body: &[u8]| refusal(asked(method, &secret).answer(body));
            let malformed = "malformed message from the client: malformed password message";
            assert_eq!(answer(b""), malformed);
            assert_eq!(answer(b"secret"), malformed);
            assert_eq!(answer(b"secret\0x"), malformed);
            assert_eq!(answer(b"secret\0\0"), malformed);
            assert_eq!(answer(b"\0"), "wrong password");
            assert_eq!(
                answer(&[b'x'; client::MAX_ANSWER + 1]),
                "malformed message from the client: the answer is too long"
            );
        }
    }
}

#[test]
fn an_exchange_that_is_over_stays_over() {
    let mut exchange = asked(AuthMethod::Password, &plain());
    let Step::Derive(work) = exchange.answer(b"wrong\0") else {
        panic!("the answer came too soon");
    };
    assert!(matches!(
        exchange.derived(&work.run()),
        Step::Refused(AuthError::WrongPassword)
    ));
    assert!(matches!(
        exchange.answer(b"secret\0"),
        Step::Refused(AuthError::OutOfTurn)
    ));
    assert!(matches!(
        exchange.start(),
        Step::Refused(AuthError::OutOfTurn)
    ));
    let keys = derived();
    assert!(matches!(
        exchange.derived(&keys),
        Step::Refused(AuthError::OutOfTurn)
    ));
}

fn derived() -> DerivedKeys {
    scram::derive_keys(&Password::new(b"secret"), b"0123456789abcdef", 2)
}

/// What a login with `credential` says to a request.
fn reply(credential: Credential, kind: u32, data: &[u8]) -> String {
    match Login::new(USER, credential, [9; 18]).on_authentication(kind, data) {
        Ok(reply) => format!("{reply:?}").split('(').next().unwrap().to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_server_gets_what_the_credential_can_give() {
    let sasl = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0".as_slice();
    let md5 = || Credential::Md5Hash([b'0'; 32]);
    let keys = || Credential::ScramKeys(derived());
    for (credential, kind, data, answer) in [
        (Credential::None, 0, b"".as_slice(), "Ok"),
        (
            Credential::None,
            3,
            b"",
            "the server asks for a cleartext password, but pgusher holds no password",
        ),
        (
            Credential::None,
            5,
            b"salt",
            "the server asks for an MD5 password, but pgusher holds no password",
        ),
        (
            Credential::None,
            10,
            sasl,
            "the server asks for SCRAM-SHA-256, but pgusher holds no password",
        ),
        (password("x"), 3, b"", "Send"),
        (password("x"), 5, b"salt", "Send"),
        (password("x"), 10, sasl, "Send"),
        (
            md5(),
            3,
            b"",
            "the server asks for a cleartext password, but pgusher holds an MD5 hash only",
        ),
        (md5(), 5, b"salt", "Send"),
        (
            md5(),
            10,
            sasl,
            "the server asks for SCRAM-SHA-256, but pgusher holds an MD5 hash only",
        ),
        (
            keys(),
            3,
            b"",
            "the server asks for a cleartext password, but pgusher holds SCRAM keys only",
        ),
        (
            keys(),
            5,
            b"salt",
            "the server asks for an MD5 password, but pgusher holds SCRAM keys only",
        ),
        (keys(), 10, sasl, "Send"),
        (
            password("x"),
            10,
            b"SCRAM-SHA-256-PLUS\0\0",
            "the server offers no SASL mechanism but ones that are not supported",
        ),
        (
            password("x"),
            10,
            b"SCRAM-SHA-256\0",
            "malformed message from the server: AuthenticationSASL",
        ),
        (
            password("x"),
            10,
            b"SCRAM-SHA-256\0\0x",
            "malformed message from the server: AuthenticationSASL",
        ),
        (
            password("x"),
            0,
            b"x",
            "malformed message from the server: AuthenticationOk",
        ),
        (
            password("x"),
            3,
            b"x",
            "malformed message from the server: AuthenticationCleartextPassword",
        ),
        (
            password("x"),
            5,
            b"sal",
            "malformed message from the server: AuthenticationMD5Password",
        ),
        (
            password("x"),
            11,
            b"",
            "malformed message from the server: an authentication request out of turn",
        ),
        (
            password("x"),
            12,
            b"v=",
            "malformed message from the server: an authentication request out of turn",
        ),
        (
            password("x"),
            7,
            b"",
            "the server asks for GSSAPI authentication, which is not supported",
        ),
        (
            password("x"),
            9,
            b"",
            "the server asks for SSPI authentication, which is not supported",
        ),
        (
            password("x"),
            77,
            b"",
            "the server asks for an unknown kind of authentication, which is not supported",
        ),
    ] {
        assert_eq!(
            reply(credential.clone(), kind, data),
            answer,
            "{credential:?} {kind} {data:?}"
        );
    }
}

#[test]
fn a_server_that_skips_its_own_proof_is_an_impostor() {
    let secret = scram();
    let mut server = asked(AuthMethod::Scram, &secret);
    let mut client = Login::new(USER, Credential::ScramKeys(derived()), [9; 18]);
    let impostor = Err(AuthError::Impostor(
        "it ended the SCRAM exchange before it gave its own proof",
    ));
    let ok = |client: &mut Login| client.on_authentication(0, b"").map(|_| ());

    let Ok(Reply::Send(first)) = client.on_authentication(10, b"SCRAM-SHA-256\0\0") else {
        panic!()
    };
    let Step::Ask(challenge) = server.answer(first.get(5..).unwrap()) else {
        panic!()
    };
    let (kind, data) = request(&challenge);
    assert!(matches!(
        client.on_authentication(kind, data),
        Ok(Reply::Send(_))
    ));
    assert_eq!(ok(&mut client), impostor);

    let mut client = Login::new(USER, password("secret"), [9; 18]);
    assert!(client.on_authentication(10, b"SCRAM-SHA-256\0\0").is_ok());
    assert_eq!(ok(&mut client), impostor);
    // And nothing makes it good again.
    assert!(ok(&mut client).is_err());
}

#[test]
fn a_server_asks_once() {
    let mut client = Login::new(USER, password("secret"), [9; 18]);
    assert!(client.on_authentication(5, b"salt").is_ok());
    assert!(client.on_authentication(3, b"").is_err());
    assert!(client.on_authentication(0, b"").is_err());
}

#[test]
fn a_derivation_is_named_by_all_that_goes_into_it() {
    let id = |password: &[u8], salt: &[u8], iterations| {
        Derivation::new(Password::new(password), salt.to_vec(), iterations).id()
    };
    assert_eq!(id(b"a", b"b", 1), id(b"a", b"b", 1));
    assert_ne!(id(b"a", b"b", 1), id(b"x", b"b", 1));
    assert_ne!(id(b"a", b"b", 1), id(b"a", b"x", 1));
    assert_ne!(id(b"a", b"b", 1), id(b"a", b"b", 2));
    assert_ne!(id(b"ab", b"c", 1), id(b"b", b"ca", 1));
}

#[test]
fn nothing_prints_what_it_holds() {
    let derivation = Derivation::new(Password::new(b"hunter2"), vec![1], 1);
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        Proof::Password(Password::new(b"hunter2")),
        Proof::Scram(derived()),
        Credential::ScramKeys(derived()),
        derivation,
    );
    assert!(
        !shown.contains("hunter2") && !shown.contains("104, 117, 110"),
        "{shown}"
    );
    assert!(shown.contains("Scram(ScramKeys(…))"), "{shown}");
    let sent = Login::new(USER, password("hunter2"), [9; 18]).on_authentication(3, b"");
    assert_eq!(format!("{sent:?}"), "Ok(Send(13 bytes))");
    let hash = format!(
        "{:?} {:?}",
        Proof::Md5Hash([b'7'; 32]),
        Credential::Md5Hash([b'7'; 32])
    );
    assert_eq!(hash, "Md5Hash(…) Md5Hash(…)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever comes, in whatever state: an answer, no panic, and nobody gets in (A5).
    #[test]
    fn any_bytes_are_survived(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 1..4),
        kind in 0u32..14,
        scram_first: bool,
    ) {
        for secret in [Some(plain()), Some(hash()), Some(scram()), None] {
            for method in [AuthMethod::Password, AuthMethod::Md5] {
                let mut exchange = Exchange::new(method, USER, secret.as_ref(), random());
                let _ = exchange.start();
                if scram_first {
                    let _ = exchange.answer(&initial(b"n,,n=,r=abc"));
                }
                for frame in &frames {
                    let step = exchange.answer(frame);
                    let in_ = matches!(step, Step::Accepted { .. });
                    prop_assert!(!in_);
                }
            }
        }
        let mut login = Login::new(USER, password("secret"), [9; 18]);
        if scram_first {
            let _ = login.on_authentication(10, b"SCRAM-SHA-256\0\0");
        }
        for frame in &frames {
            let _ = login.on_authentication(kind, frame);
        }
    }
}

// A4
#[test]
fn a_password_takes_as_long_whatever_is_stored() {
    let md5 = Secret::parse("md5064aeda25fa9d49239a8fa45e376b663").unwrap();
    let scram = Secret::Scram(ScramSecret::mock(USER, &SEED));
    let plain = plain();
    for secret in [None, Some(&plain), Some(&md5), Some(&scram)] {
        for password in [&b"secret\0"[..], b"wrong\0"] {
            let mut exchange = Exchange::new(AuthMethod::Password, USER, secret, random());
            assert!(matches!(exchange.start(), Step::Ask(_)));
            assert!(
                matches!(exchange.answer(password), Step::Derive(_)),
                "{secret:?}"
            );
        }
    }
}

// A4
#[test]
fn the_salt_of_a_stranger_is_the_users_whatever_tenant_it_names() {
    let offered = |typed: &[u8], salted_by: &[u8]| {
        let random = Random {
            salted_by,
            ..random()
        };
        let mut exchange = Exchange::new(AuthMethod::Scram, typed, None, random);
        assert!(matches!(exchange.start(), Step::Ask(_)));
        let mut first = b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd".to_vec();
        first[17] = 12;
        match exchange.answer(&first) {
            Step::Ask(challenge) => challenge,
            other => panic!("{other:?}"),
        }
    };
    let acme = offered(b"app.acme", b"app");
    assert_eq!(acme, offered(b"app.globex", b"app"));
    assert_ne!(acme, offered(b"other.acme", b"other"));
}
