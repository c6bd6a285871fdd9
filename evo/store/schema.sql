-- The run file. Only the master writes, one transaction a tick. Columns lie packed (store/columns.py): one row a block.

CREATE TABLE header (                 -- one JSON document: specification, seed, problem, space, versions
    id INTEGER PRIMARY KEY CHECK (id = 0),
    document TEXT NOT NULL
);

CREATE TABLE moves (                  -- the log: repeating these moves rebuilds the algorithm bit for bit
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,               -- ask | tell
    n INTEGER NOT NULL,               -- ask: how many were asked for; tell: how many requests were told
    first INTEGER NOT NULL,           -- first request id of the ask, or of a tell of consecutive ids
    count INTEGER NOT NULL,           -- requests given by the ask; consecutive ids told
    ids BLOB,                         -- tell of ids that are not consecutive: int64 little-endian
    room TEXT,                        -- ask: the hints per fidelity, where there were any
    hash BLOB,                        -- ask: of the requests, without their ids
    budget REAL                       -- ask: evaluations that were left, NULL for no limit
);

CREATE TABLE requests (               -- one row a homogeneous batch
    first INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    seq INTEGER NOT NULL REFERENCES moves (seq),
    columns BLOB NOT NULL
);

CREATE TABLE results (                -- as they arrived, before anyone was told
    id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,             -- they were there before this move
    low INTEGER NOT NULL,             -- smallest and largest request id inside
    high INTEGER NOT NULL,
    count INTEGER NOT NULL,
    columns BLOB NOT NULL
);
CREATE INDEX results_by_id ON results (high, low);

CREATE TABLE attempts (               -- one row a message; a request may have several attempts, it has one result
    id INTEGER PRIMARY KEY,
    worker INTEGER NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    count INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    fidelity TEXT NOT NULL,
    sent REAL NOT NULL,               -- seconds since its session's start
    ended REAL NOT NULL,
    outcome TEXT NOT NULL,            -- ok | crash | timeout | lost
    session INTEGER NOT NULL,         -- workers' numbers and times begin anew with each
    seconds REAL,                     -- that the worker spent on what it delivered; NULL in what schema 1 wrote
    cpu_seconds REAL
);

CREATE TABLE events (                 -- everything else that happened, for people and for stop rules
    id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    time REAL NOT NULL,               -- unix time
    kind TEXT NOT NULL,
    detail TEXT NOT NULL              -- JSON
);

CREATE TABLE artifacts (              -- by hash; large ones lie under artifacts/ in the run directory
    hash TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    content BLOB
);

CREATE TABLE snapshots (              -- a cache of the moves before seq; deleting it costs time only
    seq INTEGER PRIMARY KEY,
    columns BLOB NOT NULL
);

-- Derived tables: written in the same transaction from what tell returned; rebuilt from the log at will.

CREATE TABLE changes (                -- one row an archive and a move; the last row of a key holds
    id INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    archive TEXT NOT NULL,
    count INTEGER NOT NULL,
    columns BLOB NOT NULL
);

CREATE TABLE curves (
    seq INTEGER PRIMARY KEY,
    evaluations REAL NOT NULL,
    elapsed REAL NOT NULL,            -- seconds over all sessions
    stats TEXT NOT NULL               -- JSON: best, coverage, qd_score, ...
);

CREATE TABLE totals (                 -- one JSON document: state, evaluations, failures by status, best, operators
    id INTEGER PRIMARY KEY CHECK (id = 0),
    document TEXT NOT NULL
);
