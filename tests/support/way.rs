//! The ways in which a client can tell PostgreSQL the same texts.

use super::{
    Raw, Transcript,
    message::{bind, execute, extended, parse, query, sync},
};

/// A way to tell PostgreSQL several texts.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// Each in a Query, one after the other was answered.
    Simple,
    /// Each in a Query, all in one write.
    SimplePipelined,
    /// All in one Query.
    OneText,
    /// Two and two in one Query.
    TwoInAText,
    /// Each in a batch.
    Extended,
    /// Each in a batch, all in one write: a pipeline of libpq.
    ExtendedPipelined,
    /// All in one batch.
    OneBatch,
    /// Two and two in one batch, as JDBC does with BEGIN.
    TwoInABatch,
    /// The first in a Query, the next in a batch, and so on.
    InTurns,
    /// All are prepared by name, then executed.
    Named,
    /// All are prepared by name, then executed in one batch.
    NamedInOneBatch,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Simple,
        Self::SimplePipelined,
        Self::OneText,
        Self::TwoInAText,
        Self::Extended,
        Self::ExtendedPipelined,
        Self::OneBatch,
        Self::TwoInABatch,
        Self::InTurns,
        Self::Named,
        Self::NamedInOneBatch,
    ];

    /// What is written at once, with the number of its ReadyForQuerys.
    pub fn writes(self, texts: &[&str]) -> Vec<(Vec<u8>, usize)> {
        let batch = |text: &&str| [extended(text, &[]), sync()].concat();
        let once = |bytes: Vec<u8>| (bytes, 1);
        match self {
            Self::Simple => texts.iter().map(|text| (query(text), 1)).collect(),
            Self::SimplePipelined => {
                vec![(
                    texts.iter().flat_map(|text| query(text)).collect(),
                    texts.len(),
                )]
            }
            Self::OneText => vec![(query(&texts.join("; ")), 1)],
            Self::TwoInAText => texts
                .chunks(2)
                .map(|two| (query(&two.join(";\n")), 1))
                .collect(),
            Self::Extended => texts.iter().map(batch).map(once).collect(),
            Self::ExtendedPipelined => {
                vec![(texts.iter().flat_map(batch).collect(), texts.len())]
            }
            Self::OneBatch => {
                let all = texts.iter().flat_map(|text| extended(text, &[]));
                vec![(all.chain(sync()).collect(), 1)]
            }
            Self::TwoInABatch => {
                let two = |two: &[&str]| {
                    two.iter()
                        .flat_map(|text| extended(text, &[]))
                        .chain(sync())
                        .collect()
                };
                texts.chunks(2).map(two).map(once).collect()
            }
            Self::InTurns => {
                let turns = texts.iter().enumerate();
                turns
                    .map(|(nth, text)| match nth % 2 {
                        0 => (query(text), 1),
                        _ => (batch(text), 1),
                    })
                    .collect()
            }
            Self::Named | Self::NamedInOneBatch => {
                let name = |nth: usize| format!("s{nth}");
                let mut all: Vec<_> = texts
                    .iter()
                    .enumerate()
                    .map(|(nth, text)| once([parse(&name(nth), text), sync()].concat()))
                    .collect();
                let runs = (0..texts.len())
                    .map(|nth| [bind("", &name(nth), &[]), execute("", 0)].concat());
                if matches!(self, Self::Named) {
                    all.extend(runs.map(|run| once([run, sync()].concat())));
                } else {
                    all.push(once(runs.flatten().chain(sync()).collect()));
                }
                all
            }
        }
    }

    /// Tells them and hears the answers, each up to its ReadyForQuery.
    pub fn tell(self, texts: &[&str], client: &mut Raw) -> Vec<Transcript> {
        let mut heard = Vec::new();
        for (bytes, count) in self.writes(texts) {
            client.send(&bytes);
            heard.extend((0..count).map(|_| client.transcript()));
        }
        heard
    }
}
