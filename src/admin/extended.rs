//! The extended protocol: statements that were prepared, and portals.

use std::{collections::HashMap, vec};

use super::{
    command::{self, Command},
    messages::{Form, Forms, Messages},
    tables::{Column, Row},
};
use crate::{
    error::{Error, Kind},
    wire::{
        frontend::{self, Bind, Parse, Target},
        reader::{Malformed, Reader},
    },
};

/// Most prepared statements, and most portals, of one visitor. Drivers keep a few hundred.
const MOST: usize = 1000;

/// The longest name of either. Drivers' are much shorter.
const LONGEST_NAME: usize = 256;

/// Why a message was not done.
pub(super) enum Fault {
    /// Said, and the console goes on.
    Refused(Error),
    /// Nobody knows what it was.
    Malformed,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// What a visitor has prepared. An empty text is a statement without a command.
#[derive(Debug, Default)]
pub(super) struct Extended {
    statements: HashMap<Vec<u8>, Option<Command>>,
    portals: HashMap<Vec<u8>, Portal>,
}

/// A statement under way.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) command: Option<Command>,
    pub(super) forms: Forms,
    pub(super) progress: Progress,
}

/// How far a portal has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// It has not been executed.
    New,
    /// These rows are left, under their columns.
    Rows(Vec<Column>, vec::IntoIter<Row>),
    /// Nothing is left.
    Over,
}

impl Extended {
    pub(super) fn parse(&mut self, body: &[u8], out: &mut Messages) -> Result<(), Fault> {
        let Parse { name, text, .. } = Parse::read(body)?;
        let mut commands = command::read(text)?;
        let command = commands.pop();
        if !commands.is_empty() {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(Error::new(Kind::ConsoleSyntax, message).into());
        }
        has_room(&self.statements, name)?;
        self.statements.insert(name.to_vec(), command);
        out.parse_complete();
        Ok(())
    }

    pub(super) fn bind(&mut self, body: &[u8], out: &mut Messages) -> Result<(), Fault> {
        let Bind {
            portal,
            statement,
            rest,
        } = Bind::read(body)?;
        let (parameters, forms) = formats(rest)?;
        let command = self.statement(statement)?.clone();
        if parameters > 0 {
            let message = "commands of the console have no parameters";
            return Err(Error::new(Kind::NotSupported, message).into());
        }
        has_room(&self.portals, portal)?;
        let bound = Portal {
            command,
            forms,
            progress: Progress::New,
        };
        self.portals.insert(portal.to_vec(), bound);
        out.bind_complete();
        Ok(())
    }

    pub(super) fn describe(&self, body: &[u8], out: &mut Messages) -> Result<(), Fault> {
        match frontend::target(body)? {
            Target::Statement(name) => {
                let columns = columns(self.statement(name)?.as_ref());
                out.no_parameters();
                out.columns(&columns, &Forms::default());
            }
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                out.columns(&columns(portal.command.as_ref()), &portal.forms);
            }
        }
        Ok(())
    }

    /// Closing what is not there is no error.
    pub(super) fn close(&mut self, body: &[u8], out: &mut Messages) -> Result<(), Fault> {
        match frontend::target(body)? {
            Target::Statement(name) => drop(self.statements.remove(name)),
            Target::Portal(name) => drop(self.portals.remove(name)),
        }
        out.close_complete();
        Ok(())
    }

    /// The portal of an Execute, taken out while it runs, and how many rows are wanted (0 = all).
    pub(super) fn execute<'b>(&mut self, body: &'b [u8]) -> Result<(&'b [u8], Portal, u32), Fault> {
        let mut reader = Reader::new(body);
        let (name, most) = (reader.cstr()?, reader.u32()?);
        reader.finish()?;
        let portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        Ok((name, portal, most))
    }

    pub(super) fn put_back(&mut self, name: &[u8], portal: Portal) {
        self.portals.insert(name.to_vec(), portal);
    }

    /// Portals live as long as the transaction.
    pub(super) fn close_portals(&mut self) {
        self.portals.clear();
    }

    fn statement(&self, name: &[u8]) -> Result<&Option<Command>, Error> {
        self.statements.get(name).ok_or_else(|| {
            let name = name.escape_ascii();
            let message = format!("prepared statement \"{name}\" does not exist");
            Error::new(Kind::ConsoleStatement, message)
        })
    }
}

fn columns(command: Option<&Command>) -> Vec<Column> {
    command.map(Command::columns).unwrap_or_default()
}

fn no_portal(name: &[u8]) -> Error {
    let message = format!("portal \"{}\" does not exist", name.escape_ascii());
    Error::new(Kind::ConsolePortal, message)
}

fn has_room<T>(map: &HashMap<Vec<u8>, T>, name: &[u8]) -> Result<(), Error> {
    let message = if name.len() > LONGEST_NAME {
        format!("a name is longer than {LONGEST_NAME} bytes")
    } else if map.len() >= MOST && !map.contains_key(name) {
        format!("more than {MOST} statements or portals")
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::NotSupported, message))
}

/// How many parameters a Bind brings, and the forms in which it wants the answer.
fn formats(rest: &[u8]) -> Result<(u16, Forms), Fault> {
    let mut reader = Reader::new(rest);
    let codes = reader.u16()?;
    reader.take(usize::from(codes) * 2)?;
    let parameters = reader.u16()?;
    for _ in 0..parameters {
        // All ones is NULL, which has no bytes.
        match reader.u32()? {
            u32::MAX => {}
            size => drop(reader.take(usize::try_from(size).map_err(|_| Malformed)?)?),
        }
    }
    let count = reader.u16()?;
    let mut forms = Vec::new();
    for _ in 0..count {
        forms.push(match reader.u16()? {
            0 => Form::Text,
            1 => Form::Binary,
            _ => return Err(Fault::Malformed),
        });
    }
    reader.finish()?;
    Ok((parameters, Forms(forms)))
}
