//! Tensors out of the files that Python's `torch.save` writes (`.pth`, `.pt`), without Python.
//!
//! Such a file is a zip: `…/data.pkl`, a pickle in which every tensor names a storage, and `…/data/<key>`, the storages' bytes.
//! A pickle is a program for a stack machine that builds objects. This one builds tensors, dictionaries, lists and plain values;
//! every other object becomes its parts, and no code that the file names is ever run. So a whole pickled module gives
//! its tensors as well as a `state_dict` does.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    io::{BufReader, Read},
    path::Path,
    rc::Rc,
};

use tch::{Kind, Tensor};
use zip::ZipArchive;

/// Why nothing could be read: words for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PickleError {
    /// Not a zip file: what PyTorch before 1.6, and Python's own `pickle`, write.
    #[error("it is not a file of the kind that PyTorch 1.6 and later save")]
    Old,
    /// Damaged, or not what it seems.
    #[error("{0}")]
    Damaged(String),
}

fn damaged(what: impl Into<String>) -> PickleError {
    PickleError::Damaged(what.into())
}

/// Objects nested deeper than that are no network.
const DEEPEST: usize = 64;
/// Nor are so many: a file whose objects hold one another must not keep us for ever.
const MOST_VISITS: usize = 1_000_000;

/// Every tensor of the file under its dotted name; `_modules`, `_parameters` and `_buffers` of a pickled module are left out of it.
pub(crate) fn read(path: &Path) -> Result<Vec<(String, Tensor)>, PickleError> {
    let file = File::open(path).map_err(|error| damaged(format!("it cannot be read: {error}")))?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|_| PickleError::Old)?;
    // A name that is no text is not the one that is looked for.
    let inner = zip.file_names().flatten().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl")).map(|name| name.into_owned());
    let inner = inner.ok_or_else(|| damaged("there is no data.pkl in it: PyTorch did not save it"))?;
    let folder = inner.trim_end_matches("data.pkl").to_owned();
    let program = entry(&mut zip, &inner)?;
    let root = Machine::new(&program).run()?;
    let mut found = Vec::new();
    collect(&root, String::new(), &mut found, &mut { MOST_VISITS }, 0);
    let mut storages = HashMap::new();
    found.into_iter().map(|(name, stored)| Ok((name, tensor(&stored, &mut zip, &folder, &mut storages)?))).collect()
}

fn entry(zip: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Vec<u8>, PickleError> {
    let mut bytes = Vec::new();
    let mut entry = zip.by_name(name).map_err(|error| damaged(format!("{name} is missing in it: {error}")))?;
    entry.read_to_end(&mut bytes).map_err(|error| damaged(format!("{name} in it is damaged: {error}")))?;
    Ok(bytes)
}

/// A tensor as numbers of 32 bits.
fn tensor(
    stored: &Stored,
    zip: &mut ZipArchive<BufReader<File>>,
    folder: &str,
    storages: &mut HashMap<Rc<str>, Tensor>,
) -> Result<Tensor, PickleError> {
    if !storages.contains_key(&stored.key) {
        let bytes = entry(zip, &format!("{folder}data/{}", stored.key))?;
        let length = bytes.len() / stored.kind.elt_size_in_bytes();
        let flat = Tensor::f_from_data_size(&bytes[..length * stored.kind.elt_size_in_bytes()], &[length as i64], stored.kind);
        storages.insert(Rc::clone(&stored.key), flat.map_err(|error| damaged(error.to_string()))?);
    }
    let flat = &storages[&stored.key];
    let view = flat.f_as_strided(&stored.size[..], &stored.stride[..], stored.offset);
    let view = view.map_err(|_| damaged(format!("a tensor of shape {:?} does not fit into its numbers", stored.size)))?;
    view.f_to_kind(Kind::Float).map(|tensor| tensor.copy()).map_err(|error| damaged(error.to_string()))
}

/// Where a tensor's numbers lie.
#[derive(Debug, Clone)]
struct Stored {
    key: Rc<str>,
    kind: Kind,
    offset: i64,
    size: Vec<i64>,
    stride: Vec<i64>,
}

#[derive(Debug, Clone)]
enum Value {
    /// What nobody asks for.
    Other,
    Mark,
    Int(i64),
    Text(Rc<str>),
    /// `module.name`
    Global(Rc<str>),
    Tuple(Rc<Vec<Value>>),
    List(Rc<RefCell<Vec<Value>>>),
    /// A dictionary, or an object with what it was built of.
    Parts(Rc<RefCell<Vec<(Value, Value)>>>),
    Storage(Rc<str>, Kind),
    Tensor(Rc<Stored>),
}

fn parts() -> Value {
    Value::Parts(Rc::default())
}

/// Walks through dictionaries and objects.
fn collect(value: &Value, name: String, found: &mut Vec<(String, Stored)>, visits: &mut usize, depth: usize) {
    let Some(left) = visits.checked_sub(1) else { return };
    *visits = left;
    match value {
        Value::Tensor(stored) => found.push((name, (**stored).clone())),
        Value::Parts(parts) if depth < DEEPEST => {
            for (key, value) in parts.borrow().iter() {
                let key = match key {
                    Value::Text(key) => key.to_string(),
                    Value::Int(key) => key.to_string(),
                    _ => continue,
                };
                let inner = matches!(key.as_str(), "_modules" | "_parameters" | "_buffers");
                let name = match (inner, name.is_empty()) {
                    (true, _) => name.clone(),
                    (false, true) => key,
                    (false, false) => format!("{name}.{key}"),
                };
                collect(value, name, found, visits, depth + 1);
            }
        }
        Value::List(items) if depth < DEEPEST => {
            for (at, item) in items.borrow().iter().enumerate() {
                let name = if name.is_empty() { at.to_string() } else { format!("{name}.{at}") };
                collect(item, name, found, visits, depth + 1);
            }
        }
        _ => {}
    }
}

/// The stack machine, as far as protocols 2 to 5 need it.
struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl<'a> Machine<'a> {
    fn new(program: &'a [u8]) -> Self {
        Self { rest: program, stack: Vec::new(), memo: HashMap::new() }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PickleError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or_else(|| damaged("its list of tensors ends too early"))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A number of up to eight bytes, little-endian.
    fn number(&mut self, bytes: usize) -> Result<usize, PickleError> {
        let taken = self.take(bytes)?;
        Ok(taken.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn line(&mut self) -> Result<&'a str, PickleError> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged("its list of tensors ends too early"))?;
        let line = &self.take(end + 1)?[..end];
        std::str::from_utf8(line).map_err(|_| damaged("a name in it is no text"))
    }

    fn text(&mut self, count: usize) -> Result<Value, PickleError> {
        Ok(Value::Text(String::from_utf8_lossy(self.take(count)?).into()))
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        self.stack.pop().ok_or_else(|| damaged("its list of tensors makes no sense"))
    }

    fn top(&self) -> Result<Value, PickleError> {
        self.stack.last().cloned().ok_or_else(|| damaged("its list of tensors makes no sense"))
    }

    /// Everything since the last mark.
    fn marked(&mut self) -> Result<Vec<Value>, PickleError> {
        let at = self.stack.iter().rposition(|value| matches!(value, Value::Mark));
        let at = at.ok_or_else(|| damaged("its list of tensors makes no sense"))?;
        let values = self.stack.split_off(at + 1);
        self.stack.pop();
        Ok(values)
    }

    /// The last `count` values as a tuple.
    fn tuple(&mut self, count: usize) -> Result<Value, PickleError> {
        let at = self.stack.len().checked_sub(count).ok_or_else(|| damaged("its list of tensors makes no sense"))?;
        Ok(Value::Tuple(Rc::new(self.stack.split_off(at))))
    }

    fn run(mut self) -> Result<Value, PickleError> {
        loop {
            let value = match self.take(1)?[0] {
                b'.' => return self.pop(),
                0x80 => {
                    self.take(1)?; // PROTO
                    continue;
                }
                0x95 => {
                    self.take(8)?; // FRAME
                    continue;
                }
                b'(' => Value::Mark,
                b'0' => {
                    self.pop()?;
                    continue;
                }
                b'1' => {
                    self.marked()?;
                    continue;
                }
                b'N' | 0x88 | 0x89 => Value::Other, // None, True, False
                b'K' => Value::Int(self.number(1)? as i64),
                b'M' => Value::Int(self.number(2)? as i64),
                b'J' => Value::Int(i64::from(self.number(4)? as u32 as i32)),
                0x8a => {
                    let count = self.number(1)?;
                    let bytes = self.take(count)?;
                    let sign = if bytes.last().is_some_and(|byte| *byte >= 0x80) { -1 } else { 0 };
                    if count > 8 {
                        Value::Other
                    } else {
                        Value::Int(bytes.iter().rev().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
                    }
                }
                b'G' => {
                    self.take(8)?;
                    Value::Other
                }
                b'X' | b'T' => {
                    let count = self.number(4)?;
                    self.text(count)?
                }
                0x8c | b'U' => {
                    let count = self.number(1)?;
                    self.text(count)?
                }
                0x8d => {
                    let count = self.number(8)?;
                    self.text(count)?
                }
                opcode @ (b'B' | b'C' | 0x8e) => {
                    let width = [(b'B', 4), (b'C', 1)].iter().find(|known| known.0 == opcode).map_or(8, |known| known.1);
                    let count = self.number(width)?;
                    self.take(count)?;
                    Value::Other
                }
                b'}' | 0x8f => parts(),
                b']' => Value::List(Rc::default()),
                b')' => Value::Tuple(Rc::default()),
                b't' => Value::Tuple(Rc::new(self.marked()?)),
                opcode @ 0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
                b'q' => {
                    let at = self.number(1)? as u32;
                    self.memo.insert(at, self.top()?);
                    continue;
                }
                b'r' => {
                    let at = self.number(4)? as u32;
                    self.memo.insert(at, self.top()?);
                    continue;
                }
                0x94 => {
                    self.memo.insert(self.memo.len() as u32, self.top()?);
                    continue;
                }
                opcode @ (b'h' | b'j') => {
                    let at = self.number(if opcode == b'h' { 1 } else { 4 })? as u32;
                    self.memo.get(&at).cloned().ok_or_else(|| damaged("its list of tensors makes no sense"))?
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    Value::Global(format!("{module}.{name}").into())
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else { return Err(damaged("a class in it has no name")) };
                    Value::Global(format!("{module}.{name}").into())
                }
                b'R' | 0x81 => {
                    let (arguments, class) = (self.pop()?, self.pop()?);
                    made(&class, &arguments)?
                }
                b'Q' => {
                    let id = self.pop()?;
                    storage(&id)?
                }
                b'b' => {
                    let state = self.pop()?;
                    build(&self.top()?, &state);
                    continue;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    set(&self.top()?, [(key, value)]);
                    continue;
                }
                b'u' => {
                    let items = self.marked()?;
                    let pairs: Vec<(Value, Value)> = items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
                    set(&self.top()?, pairs);
                    continue;
                }
                b'a' => {
                    let value = self.pop()?;
                    add(&self.top()?, vec![value]);
                    continue;
                }
                b'e' | 0x90 => {
                    let values = self.marked()?;
                    add(&self.top()?, values);
                    continue;
                }
                other => return Err(damaged(format!("its list of tensors has an instruction that is not known here (0x{other:02x})"))),
            };
            self.stack.push(value);
        }
    }
}

/// What calling a class with arguments makes.
fn made(class: &Value, arguments: &Value) -> Result<Value, PickleError> {
    let (Value::Global(class), Value::Tuple(arguments)) = (class, arguments) else { return Ok(parts()) };
    match &**class {
        "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => {
            let whole = |value: &Value| {
                let Value::Tuple(items) = value else { return None };
                items.iter().map(|item| if let Value::Int(number) = item { Some(*number) } else { None }).collect::<Option<Vec<i64>>>()
            };
            match &arguments[..] {
                [Value::Storage(key, kind), Value::Int(offset), size, stride, ..] => {
                    let (size, stride) = whole(size).zip(whole(stride)).ok_or_else(|| damaged("a tensor in it has no shape"))?;
                    Ok(Value::Tensor(Rc::new(Stored { key: Rc::clone(key), kind: *kind, offset: *offset, size, stride })))
                }
                _ => Err(damaged("a tensor in it is stored in a way that is not known here")),
            }
        }
        "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
            arguments.first().cloned().ok_or_else(|| damaged("a parameter in it is empty"))
        }
        _ => Ok(parts()),
    }
}

/// `("storage", class, key, device, length)`
fn storage(id: &Value) -> Result<Value, PickleError> {
    let Value::Tuple(id) = id else { return Err(damaged("a storage in it has no name")) };
    let [_, Value::Global(class), Value::Text(key), ..] = &id[..] else { return Err(damaged("a storage in it has no name")) };
    let kind = match class.rsplit('.').next().unwrap_or_default() {
        "FloatStorage" => Kind::Float,
        "DoubleStorage" => Kind::Double,
        "HalfStorage" => Kind::Half,
        "BFloat16Storage" => Kind::BFloat16,
        "LongStorage" => Kind::Int64,
        "IntStorage" => Kind::Int,
        "ByteStorage" | "BoolStorage" => Kind::Uint8,
        other => return Err(damaged(format!("it holds numbers of a kind that is not known here ({other})"))),
    };
    Ok(Value::Storage(Rc::clone(key), kind))
}

/// An object's state: a dictionary, or two of them.
fn build(object: &Value, state: &Value) {
    match state {
        Value::Parts(state) => set(object, state.borrow().clone()),
        Value::Tuple(states) => states.iter().for_each(|state| build(object, state)),
        _ => {}
    }
}

fn set(object: &Value, pairs: impl IntoIterator<Item = (Value, Value)>) {
    if let Value::Parts(parts) = object {
        parts.borrow_mut().extend(pairs);
    }
}

fn add(list: &Value, values: Vec<Value>) {
    if let Value::List(items) = list {
        items.borrow_mut().extend(values);
    }
}
