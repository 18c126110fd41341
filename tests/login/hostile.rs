//! Broken SCRAM (A5, A10): each message goes to PostgreSQL as well, and the same must come of it.

use crate::{
    goes_on, started,
    support::{
        Pgusher, Raw, both_versions,
        message::{Message, lossy, message},
    },
};

const FIRST: &[u8] = b"n,,n=,r=fyko+d2lbbFgONRv9qkxdawL";

fn initial(mechanism: &[u8], length: i32, first: &[u8]) -> Vec<u8> {
    message(
        b'p',
        &[mechanism, b"\0", &length.to_be_bytes(), first].concat(),
    )
}

fn first(text: &[u8]) -> Vec<u8> {
    initial(b"SCRAM-SHA-256", i32::try_from(text.len()).unwrap(), text)
}

/// What comes of a login that answers the offer with these bytes, without the texts.
fn answered(port: u16, database: &str, answer: &[u8]) -> String {
    let mut client = started(port, "app", database);
    client.expect("R");
    client.send(answer);
    let Message { tag, body } = client.next();
    if tag == b'R' {
        return format!("R{}", lossy(&body[3..4]).escape_debug());
    }
    let told = Message { tag, body }.notation();
    format!("{told} {}", client.transcript_until_eof())
}

both_versions!(
    /// A5, A10: the client's first message.
    scram_first_messages,
    |pg| {
        let mut pgusher = Pgusher::in_front_of(pg).auth("scram-sha-256").start();
        let database = pg.fresh_database();
        let mut wrong = Vec::new();
        let length = i32::try_from(FIRST.len()).unwrap();
        for answer in [
            message(b'p', b""),
            message(b'p', b"SCRAM-SHA-256"),
            message(b'p', b"SCRAM-SHA-256\0"),
            message(b'p', b"SCRAM-SHA-256\0\0\0"),
            initial(b"", length, FIRST),
            initial(b"PLAIN", length, FIRST),
            initial(b"SCRAM-SHA-1", length, FIRST),
            initial(b"SCRAM-SHA-256-PLUS", length, FIRST),
            initial(b"scram-sha-256", length, FIRST),
            initial(b"SCRAM-SHA-256", -1, b""),
            initial(b"SCRAM-SHA-256", -1, FIRST),
            initial(b"SCRAM-SHA-256", -2, FIRST),
            initial(b"SCRAM-SHA-256", i32::MIN, FIRST),
            initial(b"SCRAM-SHA-256", i32::MAX, FIRST),
            initial(b"SCRAM-SHA-256", length + 1, FIRST),
            initial(b"SCRAM-SHA-256", length - 1, FIRST),
            initial(b"SCRAM-SHA-256", 0, b""),
            first(FIRST),
            // A10: the flags of channel binding. `y` is right without TLS, `p` asks for what is not there.
            first(b"y,,n=,r=fyko+d2lbbFgONRv9qkxdawL"),
            first(b"p=tls-server-end-point,,n=,r=fyko+d2lbbFgONRv9qkxdawL"),
            first(b"p=tls-unique,,n=,r=fyko+d2lbbFgONRv9qkxdawL"),
            first(b"p,,n=,r=fyko"),
            first(b"x,,n=,r=fyko"),
            first(b"n"),
            first(b"n,"),
            first(b"n,,"),
            first(b"n,,n"),
            first(b"n,,n="),
            first(b"n,,n=,"),
            first(b"n,,n=,r"),
            first(b"n,,r=fyko,n="),
            first(b"n,a=other,n=,r=fyko"),
            first(b"n,,m=extension,n=,r=fyko"),
            first(b"n,,n=other,r=fyko"),
            first(b"n,,n=,r=fy ko"),
            first(b"n,,n=,r=fy\x01ko"),
            first(b"n,,n=,r=fy\0ko"),
            first(b"n,,n=,r=fy\xffko"),
            first(b"n,,n=,r=fyko,x=more"),
            first(b"\xff\xfe\xfd"),
        ] {
            let told = answered(pgusher.port(), &database.name, &answer);
            let right = answered(pg.port(), &database.name, &answer);
            if told != right {
                wrong.push(format!("{}: {told}, not {right}", answer.escape_ascii()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        goes_on(&mut pgusher, &database.name);
    }
);

/// The server's challenge, after a right first message.
fn challenged(port: u16, database: &str) -> (Raw, String) {
    let mut client = started(port, "app", database);
    client.expect("R");
    client.send(&first(FIRST));
    let challenge = client.expect("R");
    let nonce = lossy(&challenge.body[4..]);
    let nonce = nonce.split(',').next().unwrap().to_owned();
    (client, nonce)
}

both_versions!(
    /// A5: the client's last message; `{}` stands for the nonce.
    scram_last_messages,
    |pg| {
        let mut pgusher = Pgusher::in_front_of(pg).auth("scram-sha-256").start();
        let database = pg.fresh_database();
        let proof = format!("p={}=", "A".repeat(43));
        let mut wrong = Vec::new();
        for template in [
            "",
            "\0",
            "c",
            "c=",
            "c=biws",
            "c=biws,",
            "c=biws,{}",
            "c=biws,{},",
            "c=biws,{},p",
            "c=biws,{},p=",
            "c=biws,{},p=AAAA",
            "c=biws,{},p=!!!!",
            "c=biws,{},PROOF",
            "c=biws,{},PROOFx",
            "c=biws,{},PROOF,x=more",
            "c=biws,{},x=more,PROOF",
            "c=biws,r=another,PROOF",
            "c=biws,r=,PROOF",
            "c=biws,{}x,PROOF",
            "c=eSws,{},PROOF",
            "c=cD10bHMtdW5pcXVlLCw=,{},PROOF",
            "c=,{},PROOF",
            "c=%%%%,{},PROOF",
            "{},c=biws,PROOF",
            "c=biws,{},\u{1},PROOF",
        ] {
            let told = |port| {
                let (mut client, nonce) = challenged(port, &database.name);
                let text = template.replace("{}", &nonce).replace("PROOF", &proof);
                client.send(&message(b'p', text.as_bytes()));
                client.transcript_until_eof().types()
            };
            let (told, right) = (told(pgusher.port()), told(pg.port()));
            if told != right {
                wrong.push(format!("{template:?}: {told}, not {right}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        goes_on(&mut pgusher, &database.name);
    }
);

both_versions!(
    /// A5: stricter than PostgreSQL: a nonce must be one, and no message may be without end.
    scram_messages_without_sense,
    |pg| {
        let mut pgusher = Pgusher::in_front_of(pg).auth("scram-sha-256").start();
        let database = pg.fresh_database();
        let long = "y".repeat(5_000);
        for text in ["n,,n=,r=", &format!("n,,n=,r={long}"), &format!("n,,n=,r=fyko,x={long}")] {
            let told = answered(pgusher.port(), &database.name, &first(text.as_bytes()));
            assert_eq!(told, "FATAL:08P01 eof", "{text:.40}");
        }
        let (mut client, nonce) = challenged(pgusher.port(), &database.name);
        let last = format!("c=biws,{nonce},x={long},p={}=", "A".repeat(43));
        client.send(&message(b'p', last.as_bytes()));
        assert_eq!(client.transcript_until_eof().types(), "FATAL:08P01 eof");
        goes_on(&mut pgusher, &database.name);
    }
);

both_versions!(
    /// A5: who leaves in the middle, or never says the last word, harms nobody.
    scram_that_stops,
    |pg| {
        let mut pgusher = Pgusher::in_front_of(pg).auth("scram-sha-256").start();
        let database = pg.fresh_database();
        let standing: Vec<Raw> = (0..20).map(|_| challenged(pgusher.port(), &database.name).0).collect();
        for _ in 0..20 {
            let (client, _) = challenged(pgusher.port(), &database.name);
            client.reset();
        }
        goes_on(&mut pgusher, &database.name);
        drop(standing);
        goes_on(&mut pgusher, &database.name);
    }
);
