// hannoy behind the worker's protocol (bench/worker/worker.h). An index is one LMDB file; searches
// of a thread share a read transaction, which is the fastest way to ask it.
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use hannoy::distances::Euclidean;
use hannoy::{Database, Reader, Writer};
use heed::{Env, EnvFlags, EnvOpenOptions, RoTxn};
use rand::{rngs::StdRng, SeedableRng};
use roaring::RoaringBitmap;

type Fallible<T> = Result<T, Box<dyn Error>>;
type Arguments = HashMap<String, String>;

const NO_ID: u32 = u32::MAX;
const M: usize = 16; // Constants of its type; the lowest layer has M0 links.
const M0: usize = 32;

/// A JSON object in the making.
#[derive(Default)]
struct Reply(Vec<String>);

impl Reply {
    fn set(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.0.push(format!("\"{key}\": {value}"));
        self
    }
    fn text(self, key: &str, value: &str) -> Self {
        let plain = value.replace('\\', "/").replace('"', "'").replace('\n', " ");
        self.set(key, format!("\"{plain}\""))
    }
}

fn argument<'a>(arguments: &'a Arguments, key: &str) -> Fallible<&'a str> {
    let found = arguments.get(key).ok_or_else(|| format!("argument missing: {key}"))?;
    Ok(found)
}

fn number(arguments: &Arguments, key: &str) -> Fallible<usize> {
    Ok(argument(arguments, key)?.parse()?)
}

/// Row-major floats.
#[derive(Default)]
struct Rows {
    data: Vec<f32>,
    dim: usize,
}

impl Rows {
    /// The first `most` rows (0: all) of a .fbin or .u8bin.
    fn read(path: &str, most: usize) -> Fallible<Rows> {
        let mut file = std::fs::File::open(path)?;
        let mut head = [0u8; 8];
        file.read_exact(&mut head)?;
        let mut count = u32::from_le_bytes(head[..4].try_into()?) as usize;
        let dim = u32::from_le_bytes(head[4..].try_into()?) as usize;
        if most > 0 {
            count = count.min(most);
        }
        let is_float = path.ends_with(".fbin");
        if !is_float && !path.ends_with(".u8bin") {
            return Err(format!("{path}: suffix: expected .fbin or .u8bin").into());
        }
        let mut bytes = vec![0u8; count * dim * if is_float { 4 } else { 1 }];
        file.read_exact(&mut bytes)?;
        let data = if is_float {
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        } else {
            bytes.iter().map(|&b| f32::from(b)).collect()
        };
        Ok(Rows { data, dim })
    }
    fn len(&self) -> usize {
        if self.dim == 0 { 0 } else { self.data.len() / self.dim }
    }
    fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.dim..(i + 1) * self.dim]
    }
}

/// A number behind a word of a file in /proc/self, e.g. kilobytes.
fn of_process(file: &str, word: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn resident_bytes() -> u64 {
    of_process("smaps_rollup", "Rss:") * 1024
}

/// Of this process: user and system, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
    fields.skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// An open file.
struct Store {
    env: Env,
    database: Database<Euclidean>,
    path: PathBuf,
}

impl Store {
    fn open(path: &Path) -> Fallible<Store> {
        let mut options = EnvOpenOptions::new();
        options.map_size(1 << 40).max_readers(126);
        // Sound: no other environment of this process has the file open.
        let env = unsafe { options.flags(EnvFlags::NO_SUB_DIR).open(path)? };
        let mut change = env.write_txn()?;
        let database = env.create_database(&mut change, None)?;
        change.commit()?;
        Ok(Store { env, database, path: path.to_path_buf() })
    }

    fn reader(&self, transaction: &RoTxn) -> Fallible<Reader<Euclidean>> {
        Ok(Reader::open(transaction, 0, self.database)?)
    }

    /// Adds rows under ids from `first` on, and builds.
    fn add(&self, rows: &Rows, first: usize, ef: usize) -> Fallible<()> {
        let mut change = self.env.write_txn()?;
        let writer = Writer::new(self.database, 0, rows.dim);
        for i in 0..rows.len() {
            writer.add_item(&mut change, (first + i) as u32, rows.row(i))?;
        }
        let mut random = StdRng::seed_from_u64(42);
        writer.builder(&mut random).ef_construction(ef).build::<M, M0>(&mut change)?;
        change.commit()?;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |file| file.len())
    }
}

#[derive(Default)]
struct Peer {
    rows: Rows,
    queries: Rows,
    store: Option<Store>,
    threads: usize,
    ef: usize,
    made: Vec<PathBuf>,
}

impl Peer {
    fn answer(&mut self, verb: &str, a: &Arguments) -> Fallible<Reply> {
        match verb {
            "load" => self.load(a),
            "build" => self.build(a),
            "save" => self.save(a),
            "open" => self.open(a),
            "drop" => {
                self.rows.data = Vec::new();
                Ok(Reply::default())
            }
            "answer" => self.answer_all(a),
            "search" => self.search(a),
            "memory" => Ok(Reply::default()
                .set("rss", resident_bytes())
                .set("huge", of_process("smaps_rollup", "AnonHugePages:") * 1024)),
            "database" => self.database(a),
            _ => Err(format!("no such verb: {verb}").into()),
        }
    }

    fn store(&self) -> Fallible<&Store> {
        Ok(self.store.as_ref().ok_or("neither built nor opened")?)
    }

    fn load(&mut self, a: &Arguments) -> Fallible<Reply> {
        if argument(a, "type")? != "f32" {
            return Err("type: hannoy has f32 alone".into());
        }
        self.rows = Rows::read(argument(a, "base")?, number(a, "rows")?)?;
        self.queries = Rows::read(argument(a, "queries")?, 0)?;
        let shape = Reply::default().set("rows", self.rows.len()).set("dim", self.rows.dim);
        Ok(shape.text("version", "hannoy 0.1.3"))
    }

    fn measured(&mut self, action: impl FnOnce(&mut Peer) -> Fallible<()>) -> Fallible<Reply> {
        let (before, cpu, start) = (resident_bytes(), cpu_seconds(), Instant::now());
        action(self)?;
        let reply = Reply::default().set("seconds", start.elapsed().as_secs_f64());
        let reply = reply.set("cpu_seconds", cpu_seconds() - cpu);
        Ok(reply.set("rss_before", before).set("rss_after", resident_bytes()))
    }

    fn build(&mut self, a: &Arguments) -> Fallible<Reply> {
        let (degree, ef) = (number(a, "degree")?, number(a, "list")?);
        if degree != M0 || a.get("metric").is_some_and(|metric| metric != "l2") {
            return Err(format!("hannoy: expected degree {M0} and l2").into());
        }
        self.threads = number(a, "threads")?;
        std::env::set_var("RAYON_NUM_THREADS", self.threads.to_string());
        let path = std::env::temp_dir().join(format!("hannoy-{}.mdb", std::process::id()));
        self.made.push(path.clone());
        let reply = self.measured(|peer| {
            let store = Store::open(&path)?;
            store.add(&peer.rows, 0, ef)?;
            peer.store = Some(store);
            Ok(())
        })?;
        self.ef = ef;
        Ok(reply.set("set_M", M).set("set_M0", M0).set("set_ef_construction", ef))
    }

    fn save(&mut self, a: &Arguments) -> Fallible<Reply> {
        let path = argument(a, "path")?.to_string();
        self.measured(|peer| {
            std::fs::copy(&peer.store()?.path, &path)?;
            Ok(())
        })
    }

    fn open(&mut self, a: &Arguments) -> Fallible<Reply> {
        let path = argument(a, "path")?.to_string();
        self.ef = 200;
        self.measured(|peer| {
            peer.store = Some(Store::open(Path::new(&path))?);
            Ok(())
        })
    }

    fn answer_all(&mut self, a: &Arguments) -> Fallible<Reply> {
        let (ef, k) = (number(a, "list")?, number(a, "k")?);
        let store = self.store()?;
        let transaction = store.env.read_txn()?;
        let reader = store.reader(&transaction)?;
        let mut found = Vec::new();
        for i in 0..self.queries.len() {
            let hits = reader.nns(k).ef_search(ef).by_vector(&transaction, self.queries.row(i))?;
            let ids = hits.nns.iter().map(|hit| hit.0).chain(std::iter::repeat(NO_ID));
            found.extend(ids.take(k).flat_map(u32::to_le_bytes));
        }
        std::fs::write(argument(a, "ids")?, found)?;
        Ok(Reply::default().set("distances", "null"))
    }

    /// Whole passes over the queries until `seconds` are over.
    fn search(&mut self, a: &Arguments) -> Fallible<Reply> {
        let (ef, k) = (number(a, "list")?, number(a, "k")?);
        let (threads, seconds) = (number(a, "threads")?, argument(a, "seconds")?.parse::<f64>()?);
        let store = self.store()?;
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (cpu, start) = (cpu_seconds(), Instant::now());
        let work = || -> Result<Vec<f64>, String> {
            let transaction = store.env.read_txn().map_err(|e| e.to_string())?;
            let reader = store.reader(&transaction).map_err(|e| e.to_string())?;
            let mut us = Vec::with_capacity(1 << 16);
            while !stop.load(Ordering::Relaxed) {
                let i = next.fetch_add(1, Ordering::Relaxed) % self.queries.len();
                let before = Instant::now();
                if i == 0 && (before - start).as_secs_f64() >= seconds {
                    stop.store(true, Ordering::Relaxed);
                    break;
                }
                let mut nns = reader.nns(k);
                let hits = nns.ef_search(ef).by_vector(&transaction, self.queries.row(i));
                hits.map_err(|e| e.to_string())?;
                us.push(before.elapsed().as_secs_f64() * 1e6);
            }
            Ok(us)
        };
        let mut us = Vec::new();
        std::thread::scope(|scope| -> Fallible<()> {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                us.extend(worker.join().map_err(|_| "a search has panicked")??);
            }
            Ok(())
        })?;
        let took = start.elapsed().as_secs_f64();
        us.sort_by(f64::total_cmp);
        let at = |share: f64| us[((share * us.len() as f64) as usize).min(us.len() - 1)];
        let reply = Reply::default().set("qps", us.len() as f64 / took).set("seconds", took);
        let reply = reply.set("searches", us.len()).set("cpu_seconds", cpu_seconds() - cpu);
        Ok(reply.set("p50_us", at(0.5)).set("p99_us", at(0.99)).set("p999_us", at(0.999)))
    }

    /// What a file costs, and filters; then the queries come as points, so this is the last request.
    fn database(&mut self, a: &Arguments) -> Fallible<Reply> {
        let (ef, k) = (number(a, "list")?, number(a, "k")?);
        let path = self.store()?.path.clone();
        let mut opened = Vec::new();
        for _ in 0..5 {
            if let Some(store) = self.store.take() {
                store.env.prepare_for_closing().wait();
            }
            let begin = Instant::now();
            let store = Store::open(&path)?;
            {
                let transaction = store.env.read_txn()?;
                store.reader(&transaction)?;
            }
            opened.push(begin.elapsed().as_secs_f64() * 1e3);
            self.store = Some(store);
        }
        opened.sort_by(f64::total_cmp);
        let store = self.store()?;
        let mut reply = Reply::default().set("open_ms", opened[opened.len() / 2]);
        let points = {
            let transaction = store.env.read_txn()?;
            let reader = store.reader(&transaction)?;
            for percent in [1, 10] {
                let (recall, us) = self.filtered(&reader, &transaction, 100 / percent, (ef, k))?;
                let name = format!("filter_{percent}_percent");
                reply = reply.set(&format!("{name}_us"), us).set(&format!("{name}_recall"), recall);
            }
            reader.n_items() as usize
        };
        reply = reply.set("file_bytes_a_point", store.bytes() as f64 / points as f64);
        let (written, begin) = (of_process("io", "wchar:"), Instant::now());
        store.add(&self.queries, points, self.ef)?;
        let seconds = begin.elapsed().as_secs_f64();
        let added = self.queries.len();
        let bytes = of_process("io", "wchar:") - written;
        Ok(reply
            .set("points", points)
            .set("added", added)
            .set("add_seconds", seconds)
            .set("written_bytes_an_add", bytes as f64 / added as f64))
    }

    /// Recall and microseconds of searches that accept each id that is a multiple of `step`.
    fn filtered(
        &self,
        reader: &Reader<Euclidean>,
        transaction: &RoTxn,
        step: u32,
        (ef, k): (usize, usize),
    ) -> Fallible<(f64, f64)> {
        let accepted: RoaringBitmap = reader.item_ids().iter().filter(|id| id % step == 0).collect();
        let mut rows = Vec::new();
        for id in &accepted {
            rows.push((id, reader.item_vector(transaction, id)?.ok_or("an item has no vector")?));
        }
        let (asked, mut hits, mut seconds) = (self.queries.len().min(100), 0, 0.0);
        for i in 0..asked {
            let query = self.queries.row(i);
            let distance = |row: &[f32]| -> f32 {
                row.iter().zip(query).map(|(x, y)| (x - y) * (x - y)).sum()
            };
            let mut all: Vec<_> = rows.iter().map(|(id, row)| (distance(row), *id)).collect();
            all.sort_by(|x, y| x.0.total_cmp(&y.0));
            let truth: Vec<u32> = all.iter().take(k).map(|each| each.1).collect();
            let begin = Instant::now();
            let mut nns = reader.nns(k);
            let found = nns.ef_search(ef).candidates(&accepted).by_vector(transaction, query)?;
            seconds += begin.elapsed().as_secs_f64();
            hits += found.nns.iter().filter(|hit| truth.contains(&hit.0)).count();
        }
        Ok((hits as f64 / (asked * k) as f64, seconds * 1e6 / asked as f64))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for path in &self.made {
            let _ = std::fs::remove_file(path);
            let _ = std::fs::remove_file(path.with_extension("mdb-lock"));
        }
    }
}

fn main() {
    let mut peer = Peer::default();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split('\t');
        let verb = words.next().unwrap_or("").to_string();
        if verb == "quit" {
            break;
        }
        let pairs = words.filter_map(|word| word.split_once('='));
        let arguments = pairs.map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let cpu = cpu_seconds();
        let reply = match peer.answer(&verb, &arguments) {
            Ok(reply) => reply.set("request_cpu_seconds", cpu_seconds() - cpu),
            Err(error) => Reply::default().text("error", &error.to_string()),
        };
        println!("{{{}}}", reply.0.join(", "));
        let _ = std::io::stdout().flush();
    }
}
