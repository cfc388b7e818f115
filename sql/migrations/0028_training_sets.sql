-- Training sets that were made, and what keeps what they were made from.

create table training_sets (
    set_id bigint generated always as identity not null,
    name text collate "C" not null,
    spec_sha256 text not null,
    as_known_at timestamptz not null,
    content_sha256 text not null,
    row_count bigint not null,
    manifest jsonb not null,
    hold text collate "C" not null,
    made_at timestamptz not null,
    made_by text not null,
    constraint training_sets_key primary key (set_id),
    constraint training_sets_asked_once unique (spec_sha256, as_known_at)
);
comment on table training_sets is
'Every training set that was made: what was asked for, as of when, and the hash of what came out. Never changed.';
comment on column training_sets.set_id is 'The set''s number.';
comment on column training_sets.name is 'What it is called.';
comment on column training_sets.spec_sha256 is 'Hash of what was asked for, but for the name.';
comment on column training_sets.as_known_at is 'The knowledge time that it is made as of. [UTC]';
comment on column training_sets.content_sha256 is 'Hash of the values of its rows, sorted.';
comment on column training_sets.row_count is 'Its rows. [rows]';
comment on column training_sets.manifest is 'The specification, and what the rows were made from.';
comment on column training_sets.hold is
'The hold that keeps what it is made from; once that is released or over, it is not made again.';
comment on column training_sets.made_at is 'When. [UTC]';
comment on column training_sets.made_by is 'Who: the user of the operating system and the host.';
grant select on training_sets to rrr_analyst;
grant select, insert on training_sets to rrr_writer;
