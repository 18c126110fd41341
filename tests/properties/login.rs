//! What must hold of a login, whoever is at the other end: of clients at pgusher, of pgusher at servers.
//!
//! A script says who is at the ends, and how the messages between them are changed or replaced on
//! their way. Nobody gets in by that, nobody learns who exists, and a login that must be bound to its
//! connection is bound or fails.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use pgusher::auth::{
    AuthError, Derivation, DerivedKeys, Password, Secret, certificate,
    certificate::Field,
    certificate_map::{CertificateMap, Rule},
    client::{Exchange, Random, Step},
    scram::derive_keys,
    upstream::{Channel, Credential, Login, Reply},
};
use pgusher::config::{settings::AuthMethod, url::DatabaseUrl};
use pgusher::error::Kind;
use pgusher::sync::Mutex;
use pgusher::tenant::server_name;

use crate::choices::Choices;

const USER: &[u8] = b"app";
const PASSWORD: &[u8] = b"secret";
const METHODS: [AuthMethod; 4] = [
    AuthMethod::Scram,
    AuthMethod::Md5,
    AuthMethod::Password,
    AuthMethod::Trust,
];
const RANDOM: Random<'static> = Random {
    nonce: [7; 18],
    md5_salt: *b"salt",
    server_seed: &[9; 32],
    salted_by: b"app",
};
const PLUS: &[u8] = b"SCRAM-SHA-256-PLUS\0";

/// Keys that were derived before: there are few of them, and each takes long.
fn derive(derivation: &Derivation) -> Arc<DerivedKeys> {
    type Known = HashMap<[u8; 32], Arc<DerivedKeys>>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(|| Mutex::new(Known::new()));
    let mut known = KNOWN.lock();
    let keys = known
        .entry(derivation.id())
        .or_insert_with(|| Arc::new(derivation.run()));
    Arc::clone(keys)
}

/// The forms in which a password is stored.
fn stored(choice: usize) -> Option<Secret> {
    match choice {
        0 => Some(Secret::Plain(Password::new(PASSWORD))),
        1 => {
            let keys = derive_keys(&Password::new(PASSWORD), b"0123456789abcdef", 2);
            Some(Secret::Scram(keys.secret()))
        }
        2 => Secret::parse("md5a52ad1e5b1b6a1f8e5c1b3d1d5a2c0aa").ok(),
        _ => None,
    }
}

/// A message on its way: as it was sent, changed, or another one.
fn on_its_way(choices: &mut Choices<'_>, sent: &[u8]) -> Vec<u8> {
    let mut message = sent.to_vec();
    match choices.below(8) {
        0 => message = (0..choices.below(64)).map(|_| byte(choices)).collect(),
        1 => message.truncate(choices.below(message.len() + 1)),
        2 => message.extend((0..choices.below(8)).map(|_| byte(choices))),
        3 if !message.is_empty() => {
            let at = choices.below(message.len());
            message[at] ^= byte(choices);
        }
        4 if !message.is_empty() => {
            let at = choices.below(message.len());
            message.insert(at, byte(choices));
        }
        5 if !message.is_empty() => {
            let at = choices.below(message.len());
            message.remove(at);
        }
        _ => {}
    }
    message
}

fn byte(choices: &mut Choices<'_>) -> u8 {
    u8::try_from(choices.below(256)).unwrap()
}

/// A step that is something for the other side.
fn settled(exchange: &mut Exchange, mut step: Step) -> Step {
    while let Step::Derive(derivation) = step {
        step = exchange.derived(&derive(&derivation));
    }
    step
}

/// What whoever is asked can tell of it.
fn heard(step: &Step) -> (Vec<u8>, Option<Kind>, String) {
    match step {
        Step::Ask(frame) => (frame.clone(), None, String::new()),
        Step::Refused(why) => {
            // As the client is told it.
            let text = match why.told() {
                Kind::InvalidPassword => String::new(),
                _ => why.to_string(),
            };
            (Vec::new(), Some(why.told()), text)
        }
        other => panic!("{other:?}"),
    }
}

/// The kind and the data of an Authentication message.
fn asked(frame: &[u8]) -> (u32, &[u8]) {
    let (kind, data) = frame[5..].split_at(4);
    (u32::from_be_bytes(kind.try_into().unwrap()), data)
}

/// A client that knows the password, and an end of the connection in somebody else's hands.
pub(crate) fn client(script: &[u8]) {
    comes_in(script);
}

/// The same; whether it comes in.
pub(crate) fn comes_in(script: &[u8]) -> bool {
    let mut choices = Choices::new(script);
    let method = choices.one(&METHODS);
    let secret = stored(choices.below(4));
    let shown: Option<&[u8]> = choices.one(&[None, Some(&[1; 32]), Some(&[1; 48])]);
    // What the client has seen is ours, or that of somebody in between.
    let seen = choices.one(&[shown, shown, Some(&[2; 32])]);
    let channel = match seen {
        Some(hash) if choices.coin() => Channel::Binding(hash.to_vec()),
        Some(hash) => Channel::Bindable(hash.to_vec()),
        None => Channel::Open,
    };
    let must_bind = matches!(channel, Channel::Binding(_));
    let credential = Credential::Password(Password::new(PASSWORD));
    let mut honest = Login::new(USER, credential, [5; 18]).on(channel);

    let new = |secret: Option<&Secret>| Exchange::new(method, USER, secret, RANDOM).on(shown);
    let mut exchange = new(secret.as_ref());
    let mut strangers = new(None);
    let scram = matches!(secret, Some(Secret::Scram(_)));
    // Users that are stored as SCRAM secrets have salts of their own, and MD5 asks them for SCRAM.
    let compares = method != AuthMethod::Trust && !scram;

    let mut tampered = false;
    let start = exchange.start();
    let mut step = settled(&mut exchange, start);
    let start = strangers.start();
    let mut other = settled(&mut strangers, start);
    while let Step::Ask(frame) = &step
        && !choices.are_over()
    {
        // A4
        if compares {
            assert_eq!(heard(&step), heard(&other));
        }
        let (kind, data) = asked(frame);
        let meant = match honest.on_authentication(kind, data) {
            Ok(Reply::Send(frame)) => frame[5..].to_vec(),
            Ok(Reply::Derive(derivation)) => match honest.derived(&derive(&derivation)) {
                Ok(frame) => frame[5..].to_vec(),
                Err(_) => Vec::new(),
            },
            _ => Vec::new(),
        };
        let answer = on_its_way(&mut choices, &meant);
        tampered |= answer != meant;
        let next = exchange.answer(&answer);
        step = settled(&mut exchange, next);
        if compares {
            let next = strangers.answer(&answer);
            other = settled(&mut strangers, next);
        }
    }
    match &step {
        Step::Accepted { .. } if method == AuthMethod::Trust => {}
        Step::Accepted { frames, .. } => {
            assert!(!tampered, "a changed message is good enough");
            assert!(secret.is_some(), "nobody has come in");
            assert!(
                !must_bind || method == AuthMethod::Scram || scram,
                "unbound"
            );
            if method == AuthMethod::Scram {
                assert!(
                    seen == shown || !must_bind,
                    "somebody in between has come in"
                );
                assert_eq!(asked(frames).0, 12);
            }
            if compares {
                assert_eq!(heard(&other).1, Some(Kind::InvalidPassword));
            }
        }
        Step::Refused(_) if compares => assert_eq!(heard(&step), heard(&other)),
        _ => {}
    }
    let came_in = matches!(step, Step::Accepted { .. });
    if !matches!(step, Step::Ask(_)) {
        // It is over for good.
        let more = exchange.answer(PASSWORD);
        assert!(matches!(more, Step::Refused(AuthError::OutOfTurn)));
    }
    came_in
}

/// A server that knows the password or does not, and an end of the connection in somebody else's hands.
pub(crate) fn upstream(script: &[u8]) {
    is_let_in(script);
}

/// The same; whether pgusher believes that it is let in.
pub(crate) fn is_let_in(script: &[u8]) -> bool {
    let mut choices = Choices::new(script);
    let method = choices.one(&METHODS);
    let known = stored(choices.below(4));
    let shown: Option<&[u8]> = choices.one(&[None, Some(&[1; 32])]);
    let channel = match choices.below(4) {
        0 => Channel::Open,
        1 => Channel::Bindable(vec![1; 32]),
        2 => Channel::Binding(vec![1; 32]),
        _ => Channel::Unbindable,
    };
    let must_bind = matches!(channel, Channel::Binding(_) | Channel::Unbindable);
    let keys = derive_keys(&Password::new(PASSWORD), b"0123456789abcdef", 2);
    let credential = match choices.below(4) {
        0 => Credential::Password(Password::new(PASSWORD)),
        1 => Credential::ScramKeys(keys),
        2 => stored(2)
            .as_ref()
            .map_or(Credential::None, Credential::from),
        _ => Credential::None,
    };
    let mut login = Login::new(USER, credential, [5; 18]).on(channel);
    let mut server = Exchange::new(method, USER, known.as_ref(), RANDOM).on(shown);
    let start = server.start();
    let mut step = settled(&mut server, start);

    let (mut scram, mut proven, mut tampered) = (false, false, false);
    let mut waiting: Vec<Vec<u8>> = Vec::new();
    while !choices.are_over() {
        match std::mem::replace(&mut step, Step::Refused(AuthError::OutOfTurn)) {
            Step::Ask(frame) => waiting.push(frame),
            Step::Accepted { frames, .. } => {
                if !frames.is_empty() {
                    waiting.push(frames);
                }
                waiting.push(b"R\0\0\0\x08\0\0\0\0".to_vec());
            }
            _ => {}
        }
        let meant = match waiting.is_empty() {
            true => vec![0; 4],
            false => waiting.remove(0)[5..].to_vec(),
        };
        let mut message = on_its_way(&mut choices, &meant);
        message.resize(message.len().max(4), 0);
        let kind = u32::from_be_bytes(message[..4].try_into().unwrap());
        let changed = message != meant;
        // The first one may be: what comes of it is checked all the same.
        tampered |= changed && scram;
        let reply = match login.on_authentication(kind, &message[4..]) {
            // Whatever a stranger asks to be computed is not computed here: it takes long.
            Ok(Reply::Derive(_)) if changed => return false,
            Ok(Reply::Derive(derivation)) => login.derived(&derive(&derivation)).map(Reply::Send),
            other => other,
        };
        match reply {
            Err(_) => {
                // It is over for good.
                assert!(login.on_authentication(0, &[]).is_err());
                return false;
            }
            Ok(Reply::Ok) => {
                assert!(!scram || proven, "the server has proved nothing");
                assert!(!must_bind || proven, "a login that is not bound");
                assert!(login.on_authentication(0, &[]).is_err());
                return true;
            }
            Ok(Reply::Continue) => {
                assert!(
                    scram && !tampered && known.is_some(),
                    "an impostor's proof is believed"
                );
                proven = true;
            }
            Ok(Reply::Send(frame)) => {
                let body = &frame[5..];
                assert_eq!(
                    frame.len(),
                    u32::from_be_bytes(frame[1..5].try_into().unwrap()) as usize + 1
                );
                if !scram && must_bind {
                    assert!(body.starts_with(PLUS), "{}", body.escape_ascii());
                }
                scram |= body.starts_with(b"SCRAM-SHA-256");
                let next = server.answer(body);
                step = settled(&mut server, next);
            }
            Ok(Reply::Derive(_)) => unreachable!("it was answered"),
        }
    }
    false
}

/// What is read of a certificate is plain text, and whom it stands for stands in it.
pub(crate) fn certificate(der: &[u8]) {
    const FIELDS: [Field; 6] = [
        Field::CommonName,
        Field::Unit,
        Field::Organization,
        Field::Dns,
        Field::Email,
        Field::Uri,
    ];
    static MAPS: LazyLock<[CertificateMap; 2]> = LazyLock::new(|| {
        let rule = |field| Rule::new(field, "(.)(.*)", "app", Some("$2"));
        let rules = FIELDS.map(|field| rule(field).unwrap());
        [CertificateMap::default(), CertificateMap::new(rules.into())]
    });
    let mut all = Vec::new();
    for field in FIELDS {
        for value in certificate::values(der, field) {
            assert!(!value.is_empty() && !value.chars().any(char::is_control));
            all.push(value);
        }
    }
    let names = certificate::values(der, Field::CommonName);
    for name in &all {
        assert_eq!(
            MAPS[0].holder(der, name).is_some(),
            names == [name.as_str()]
        );
    }
    if let Some(holder) = MAPS[1].holder(der, "app") {
        let tenant = holder.tenant.unwrap();
        assert!(all.iter().any(|value| value.ends_with(&tenant)));
    }
    assert_eq!(MAPS[1].holder(der, "other"), None);
    let hash = certificate::end_point(der);
    assert!(hash.is_none_or(|hash| [32, 48, 64].contains(&hash.len())));
    // Beyond its end there is nothing.
    let longer = [der, b"\0"].concat();
    assert!(certificate::end_point(&longer).is_none());
    assert!(!certificate::is_valid_at(&longer, 1_800_000_000));
    let _ = certificate::is_valid_at(der, 0) && certificate::is_valid_at(der, u64::MAX);
}

/// Names of servers, and URLs.
pub(crate) fn names(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    for domain in [None, Some("db.example.com"), Some("")] {
        if let Some(label) = server_name::label(text, domain) {
            assert!(text.starts_with(label) && !label.contains('.'));
            if let Some(domain) = domain.filter(|_| !label.is_empty()) {
                let rest = &text[label.len()..];
                let rest = rest.strip_prefix('.').unwrap();
                let rest = rest.strip_suffix('.').unwrap_or(rest);
                assert!(rest.eq_ignore_ascii_case(domain), "{text:?}");
            }
        }
    }
    for url in [
        text,
        &format!("postgres://{text}"),
        &format!("postgres://app:QJX@h/d?{text}"),
    ] {
        if let Err(error) = DatabaseUrl::parse(url) {
            assert!(!error.contains("QJX") || text.contains("QJX"), "{error}");
        }
    }
}
