//! SCRAM against the RFC, against itself, and against hostile peers.

use proptest::prelude::*;

use super::binding::{ClientBinding, ServerBinding};
use super::*;
use crate::auth::AuthError;

/// The exchange of RFC 7677, section 3. Its nonces are not 18 bytes in base64, so the server's
/// side is stepped into behind the challenge.
mod rfc7677 {
    pub(super) const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    pub(super) const CLIENT_FIRST_BARE: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO";
    pub(super) const WITHOUT_PROOF: &str =
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    pub(super) const PROOF: &str = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    pub(super) const SERVER: &str = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    pub(super) const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
}

fn pencil() -> ScramKeys {
    derive_keys(
        &Password::new(b"pencil"),
        &unbase64(rfc7677::SALT.as_bytes()).unwrap(),
        4096,
    )
}

#[test]
fn the_exchange_of_rfc_7677_from_the_servers_side() {
    let keys = pencil();
    let server = ScramServerFinal::at(
        keys.secret(),
        rfc7677::CLIENT_FIRST_BARE.as_bytes(),
        rfc7677::SERVER_FIRST.as_bytes(),
    );
    let last = format!("{},p={}", rfc7677::WITHOUT_PROOF, rfc7677::PROOF);
    let verified = server.finish(last.as_bytes()).unwrap();
    assert_eq!(
        verified.server_final,
        format!("v={}", rfc7677::SERVER).into_bytes()
    );
    assert_eq!(verified.client_key, keys.client_key);
}

#[test]
fn the_proofs_of_rfc_7677_from_the_clients_side() {
    let keys = pencil();
    let sign = |key: &[u8; 32]| {
        signature(
            key,
            rfc7677::CLIENT_FIRST_BARE.as_bytes(),
            rfc7677::SERVER_FIRST.as_bytes(),
            rfc7677::WITHOUT_PROOF.as_bytes(),
        )
    };
    let mut proof = sign(&sha256(&keys.client_key));
    xor(&mut proof, &keys.client_key);
    assert_eq!(base64(&proof), rfc7677::PROOF);
    assert_eq!(base64(&sign(&keys.server_key)), rfc7677::SERVER);
}

/// Few rounds: the count is no less tested, and the tests are quick.
fn keys() -> ScramKeys {
    derive_keys(&Password::new(b"secret"), b"0123456789abcdef", 2)
}

fn server(genuine: bool) -> ScramServer {
    ScramServer::new(keys().secret(), genuine, [7; 18])
}

/// Runs both sides; what the server and then the client think of it.
fn exchange(
    server: ScramServer,
    keys: &ScramKeys,
    nonce: Nonce,
) -> Result<ScramVerified, AuthError> {
    let client = ScramClient::new(nonce);
    let (challenge, server) = server.first(&client.first())?;
    let (last, client) = client.challenge(&challenge)?.respond(keys)?;
    let verified = server.finish(&last)?;
    client.verify(&verified.server_final)?;
    Ok(verified)
}

/// What the server says to a first message.
fn first(message: &[u8]) -> String {
    match server(true).first(message) {
        Ok((answer, _)) => String::from_utf8(answer).unwrap(),
        Err(error) => error.to_string(),
    }
}

// A10
#[test]
fn gs2_flags_are_taken_as_postgresql_takes_them() {
    let challenge = "r=abcBwcHBwcHBwcHBwcHBwcHBwcH,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=2";
    for (message, answer) in [
        ("n,,n=,r=abc", challenge),
        ("y,,n=,r=abc", challenge),
        ("n,,n=somebody,r=abc", challenge),
        ("n,,n=,r=abc,x=y,Z=", challenge),
        (
            "p=tls-server-end-point,,n=,r=abc",
            "malformed message from the client: channel binding data, but SCRAM-SHA-256 was chosen without -PLUS",
        ),
        (
            "p,,n=,r=abc",
            "malformed message from the client: unexpected channel binding flag",
        ),
        (
            "q,,n=,r=abc",
            "malformed message from the client: unexpected channel binding flag",
        ),
        (
            "nn,,n=,r=abc",
            "malformed message from the client: unexpected channel binding flag",
        ),
        (
            ",,n=,r=abc",
            "malformed message from the client: unexpected channel binding flag",
        ),
        (
            "n,a=admin,n=,r=abc",
            "the client asks for an authorization identity",
        ),
        (
            "n,b=admin,n=,r=abc",
            "malformed message from the client: unexpected attribute in the first SCRAM message",
        ),
        (
            "n,,m=x,n=,r=abc",
            "the client asks for a mandatory SCRAM extension",
        ),
        (
            "n",
            "malformed message from the client: unexpected attribute in the first SCRAM message",
        ),
        (
            "n,",
            "malformed message from the client: no user name in the first SCRAM message",
        ),
        (
            "n,,",
            "malformed message from the client: no attribute where the SCRAM message should have one",
        ),
        (
            "n,,r=abc",
            "malformed message from the client: no user name in the first SCRAM message",
        ),
        (
            "n,,n=",
            "malformed message from the client: no nonce in the first SCRAM message",
        ),
        (
            "n,,n=,r=",
            "malformed message from the client: the length of the SCRAM nonce",
        ),
        (
            "n,,n=,r=a b",
            "malformed message from the client: characters in the SCRAM nonce that cannot be printed",
        ),
        (
            "n,,n=,r=abc,",
            "malformed message from the client: no attribute where the SCRAM message should have one",
        ),
        (
            "n,,n=,r=abc,1=x",
            "malformed message from the client: no attribute where the SCRAM message should have one",
        ),
        (
            "n,,n=,r=abc\0",
            "malformed message from the client: a NUL in the SCRAM message",
        ),
        (
            "",
            "malformed message from the client: the SCRAM message is empty",
        ),
    ] {
        let got = first(message.as_bytes());
        assert_eq!(got, answer, "{message:?}");
    }
}

// A5
#[test]
fn nonces_and_messages_have_a_longest_length() {
    let ours = 24;
    let longest = "a".repeat(MAX_NONCE - ours);
    assert!(first(format!("n,,n=,r={longest}").as_bytes()).starts_with("r=aaa"));
    assert_eq!(
        first(format!("n,,n=,r={longest}a").as_bytes()),
        "malformed message from the client: the length of the SCRAM nonce"
    );
    assert_eq!(
        first(format!("n,,n={},r=a", "u".repeat(MAX_MESSAGE)).as_bytes()),
        "malformed message from the client: the SCRAM message is too long"
    );
}

// A10: what `c=` says must be what the first message said.
#[test]
fn the_binding_repeats_the_header() {
    for (flag, binding, fine) in [
        ("n", "biws", true),
        ("y", "eSws", true),
        ("n", "eSws", false),
        ("y", "biws", false),
    ] {
        let bare = "n=,r=abc";
        let (challenge, server) = server(true)
            .first(format!("{flag},,{bare}").as_bytes())
            .unwrap();
        let nonce = "abcBwcHBwcHBwcHBwcHBwcHBwcH";
        let without_proof = format!("c={binding},r={nonce}");
        let stored = keys().secret().stored_key;
        let mut proof = signature(
            &stored,
            bare.as_bytes(),
            &challenge,
            without_proof.as_bytes(),
        );
        xor(&mut proof, &keys().client_key);
        let last = format!("{without_proof},p={}", base64(&proof));
        assert_eq!(
            server.finish(last.as_bytes()).is_ok(),
            fine,
            "{flag} {binding}"
        );
    }
}

// K1: the server's part of the nonce may look like an attribute.
#[test]
fn an_attribute_inside_a_nonce_is_part_of_the_nonce() {
    let client = ScramClient::new([9; 18]);
    let ours = client.nonce_text().to_owned();
    let bare = format!("n=,r={ours}");
    let theirs = format!("{ours}r=xr=s=i=r=");
    let challenge = format!("r={theirs},s=MDEyMzQ1Njc4OWFiY2RlZg==,i=2");
    let (last, client) = client
        .challenge(challenge.as_bytes())
        .unwrap()
        .respond(&keys())
        .unwrap();
    let last = String::from_utf8(last).unwrap();
    assert!(last.starts_with(&format!("c=biws,r={theirs},p=")), "{last}");
    let server = ScramServerFinal::at(keys().secret(), bare.as_bytes(), challenge.as_bytes());
    client
        .verify(&server.finish(last.as_bytes()).unwrap().server_final)
        .unwrap();

    let (challenge, _) = server_first_with("n,,n=,r=r=r=p=n=");
    assert!(challenge.starts_with("r=r=r=p=n=BwcH"), "{challenge}");
}

fn server_first_with(message: &str) -> (String, ScramServerFinal) {
    let (challenge, server) = server(true).first(message.as_bytes()).unwrap();
    (String::from_utf8(challenge).unwrap(), server)
}

#[test]
fn a_hostile_challenge_is_refused() {
    let ours = ScramClient::new([9; 18]).nonce_text().to_owned();
    let salt = "MDEyMzQ1Njc4OWFiY2RlZg==";
    let long_salt = base64(&[1; MAX_SALT + 1]);
    for (challenge, error) in [
        (
            format!("r={ours},s={salt},i=2"),
            "the SCRAM nonce does not continue ours",
        ),
        (
            format!("r=x{ours},s={salt},i=2"),
            "the SCRAM nonce does not continue ours",
        ),
        (
            format!("r={ours}{},s={salt},i=2", "x".repeat(600)),
            "the length of the SCRAM nonce",
        ),
        (
            format!("r={ours}{},s={salt},i=2", "x".repeat(2000)),
            "the SCRAM message is too long",
        ),
        (
            format!("r={ours}x,s=,i=2"),
            "the length of the salt in the SCRAM challenge",
        ),
        (
            format!("r={ours}x,s={long_salt},i=2"),
            "the length of the salt in the SCRAM challenge",
        ),
        (
            format!("r={ours}x,s=!,i=2"),
            "malformed salt in the SCRAM challenge",
        ),
        (
            format!("r={ours}x,s={salt},i=0"),
            "the iteration count of the SCRAM challenge",
        ),
        (
            format!("r={ours}x,s={salt},i=-4096"),
            "the iteration count of the SCRAM challenge",
        ),
        (
            format!("r={ours}x,s={salt},i=1000001"),
            "the iteration count of the SCRAM challenge",
        ),
        (
            format!("r={ours}x,s={salt},i=4294967298"),
            "the iteration count of the SCRAM challenge",
        ),
        (
            format!("r={ours}x,s={salt},i=2,x=y"),
            "garbage at the end of the SCRAM message",
        ),
        (
            format!("m=x,r={ours}x,s={salt},i=2"),
            "no nonce in the SCRAM challenge",
        ),
    ] {
        let got = ScramClient::new([9; 18]).challenge(challenge.as_bytes());
        assert_eq!(
            got.err(),
            Some(AuthError::ServerMessage(error)),
            "{challenge}"
        );
    }
}

#[test]
fn keys_for_another_salt_are_not_tried() {
    let other = derive_keys(&Password::new(b"secret"), b"0123456789abcdeX", 2);
    assert_eq!(
        exchange(server(true), &other, [1; 18]).err(),
        Some(AuthError::ForeignKeys)
    );
}

#[test]
fn a_server_that_does_not_know_the_password_is_an_impostor() {
    let client = ScramClient::new([9; 18]);
    let (challenge, _) = server(true).first(&client.first()).unwrap();
    let answer = || {
        let client = ScramClient::new([9; 18]).challenge(&challenge).unwrap();
        client.respond(&keys()).unwrap().1
    };
    let zeros = format!("v={}", base64(&[0; 32]));
    assert_eq!(
        answer().verify(zeros.as_bytes()),
        Err(AuthError::Impostor("its SCRAM proof is wrong"))
    );
    assert_eq!(
        answer().verify(b"e=other-error\x1b[31m"),
        Err(AuthError::ServerRefused("other-error?[31m".to_owned()))
    );
    for message in ["", "v=", "v", "x=y", "v=AAAA"] {
        assert!(matches!(
            answer().verify(message.as_bytes()),
            Err(AuthError::ServerMessage(_))
        ));
    }
}

// A4, A12
#[test]
fn a_user_who_does_not_exist_fails_like_one_with_a_wrong_password() {
    let wrong = derive_keys(&Password::new(b"wrong"), b"0123456789abcdef", 2);
    assert_eq!(
        exchange(server(true), &wrong, [1; 18]).err(),
        Some(AuthError::WrongPassword)
    );
    assert_eq!(
        exchange(server(false), &keys(), [1; 18]).err(),
        Some(AuthError::WrongPassword)
    );
    let (known, _) = server(true).first(b"n,,n=,r=abc").unwrap();
    let mock = ScramSecret::mock(b"nobody", &[3; 32]);
    let (unknown, _) = ScramServer::new(mock, false, [7; 18])
        .first(b"n,,n=,r=abc")
        .unwrap();
    let shape = |text: &[u8]| {
        text.split(|byte| *byte == b',')
            .map(<[u8]>::len)
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&known).get(..2), shape(&unknown).get(..2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn both_sides_agree(
        password in proptest::collection::vec(1u8.., 1..40),
        salt in proptest::collection::vec(any::<u8>(), 1..40),
        iterations in 1u32..5,
        nonces in any::<(Nonce, Nonce)>(),
    ) {
        let keys = derive_keys(&Password::new(&password), &salt, iterations);
        let server = ScramServer::new(keys.secret(), true, nonces.1);
        let verified = exchange(server, &keys, nonces.0).unwrap();
        prop_assert_eq!(verified.client_key, keys.client_key);
    }

    /// One byte changed, or the end cut off, anywhere: never accepted, never a panic (A5).
    #[test]
    fn a_damaged_message_is_refused(at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut: bool) {
        let damage = |message: &[u8]| {
            let mut message = message.to_vec();
            let at = at.index(message.len());
            if cut { message.truncate(at) } else { *message.get_mut(at).unwrap() = byte };
            message
        };
        let client = ScramClient::new([9; 18]);
        let first = client.first();
        let (challenge, server_final) = server(true).first(&first).unwrap();
        let (last, client_final) = client.challenge(&challenge).unwrap().respond(&keys()).unwrap();

        // A damaged first message or challenge may be well-formed; then the proofs do not fit.
        let damaged = damage(&first);
        if damaged != first && let Ok((_, server)) = server(true).first(&damaged) {
            prop_assert!(server.finish(&last).is_err());
        }
        let damaged = damage(&challenge);
        if damaged != challenge && let Ok(client) = ScramClient::new([9; 18]).challenge(&damaged) {
            let (_, again) = server(true).first(&first).unwrap();
            prop_assert!(client.respond(&keys()).and_then(|(last, _)| again.finish(&last)).is_err());
        }
        let damaged = damage(&last);
        if damaged != last {
            let (_, again) = server(true).first(&first).unwrap();
            prop_assert!(again.finish(&damaged).is_err());
        }
        let proof = server_final.finish(&last).unwrap().server_final;
        let damaged = damage(&proof);
        if damaged != proof {
            prop_assert!(client_final.verify(&damaged).is_err());
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = server(true).first(&bytes);
        let _ = server(true).first(b"n,,n=,r=abc").unwrap().1.finish(&bytes);
        let _ = ScramClient::new([9; 18]).challenge(&bytes);
    }
}

/// Both sides, each with what it knows of the connection; what the server thinks of it.
fn bound_exchange(client: ClientBinding, server: ServerBinding) -> Result<(), AuthError> {
    let client = ScramClient::new([9; 18]).with(client);
    let server = ScramServer::new(keys().secret(), true, [7; 18]).with(server);
    let (challenge, server) = server.first(&client.first())?;
    let (last, client) = client.challenge(&challenge)?.respond(&keys())?;
    client.verify(&server.finish(&last)?.server_final)
}

// A10
#[test]
fn a_login_is_bound_to_the_certificate_that_both_have_seen() {
    use ClientBinding::{EndPoint, None as Open, Unoffered};
    let ours = || vec![1; 32];
    let said = |client, server| match bound_exchange(client, server) {
        Ok(()) => "in",
        Err(AuthError::ClientMessage(what)) => what,
        Err(_) => "out",
    };
    for (client, server, expected) in [
        (EndPoint(ours()), ServerBinding::Chosen(ours()), "in"),
        (Open, ServerBinding::Offered, "in"),
        (Open, ServerBinding::None, "in"),
        (Unoffered, ServerBinding::None, "in"),
        // Somebody in between has shown a certificate of his own.
        (
            EndPoint(vec![2; 32]),
            ServerBinding::Chosen(ours()),
            "unexpected channel binding data",
        ),
        // He has taken the offer away.
        (
            Unoffered,
            ServerBinding::Offered,
            "the client could bind its login to the connection and has not been offered it, but it was offered",
        ),
        (
            Open,
            ServerBinding::Chosen(ours()),
            "SCRAM-SHA-256-PLUS was chosen, but there is no channel binding data",
        ),
        (
            EndPoint(ours()),
            ServerBinding::Offered,
            "channel binding data, but SCRAM-SHA-256 was chosen without -PLUS",
        ),
    ] {
        let what = format!("{client:?} {server:?}");
        assert_eq!(said(client, server), expected, "{what}");
    }
}

#[test]
fn a_binding_of_another_type_is_refused() {
    let server = ScramServer::new(keys().secret(), true, [7; 18]);
    let server = server.with(ServerBinding::Chosen(vec![1; 32]));
    let first = server.first(b"p=tls-unique,,n=,r=abc");
    let wrong = AuthError::ClientMessage("an unknown type of channel binding");
    assert_eq!(first.err(), Some(wrong));
}
