-- The engine that this database was made for, written at the first migration: another one is refused.

create table schema_engine (
    is_only boolean not null default true,
    engine text not null,
    created_at timestamptz not null default now(),
    constraint schema_engine_key primary key (is_only),
    constraint schema_engine_is_only check (is_only),
    constraint schema_engine_engine_accepted check (engine in ('postgresql', 'timescaledb'))
);
comment on table schema_engine is 'One row: the engine whose files were applied.';
comment on column schema_engine.is_only is 'Holds the table to one row.';
comment on column schema_engine.engine is 'postgresql or timescaledb.';
comment on column schema_engine.created_at is 'When the database was first migrated. [UTC]';
grant select on schema_engine to rrr_analyst, rrr_writer;
