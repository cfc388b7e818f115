-- The archive: where its tables are, what is proven kept, what is held, and what retention did. Files and their metadata lie in the
-- object store; the catalogue names the metadata of each table, and is what makes a change of a table visible, in one step.

create schema iceberg;
grant usage on schema iceberg to rrr_writer, rrr_analyst;

-- The columns are those of the catalogue's own library.
create table iceberg.iceberg_tables (
    catalog_name varchar(255) not null,
    table_namespace varchar(255) not null,
    table_name varchar(255) not null,
    metadata_location varchar(1000),
    previous_metadata_location varchar(1000),
    iceberg_type varchar(5),
    constraint iceberg_tables_key primary key (catalog_name, table_namespace, table_name)
);
comment on table iceberg.iceberg_tables is 'The catalogue of the archive: each Iceberg table with the file of its current metadata.';
grant select on iceberg.iceberg_tables to rrr_analyst;
grant select, insert, update on iceberg.iceberg_tables to rrr_writer;

create table iceberg.iceberg_namespace_properties (
    catalog_name varchar(255) not null,
    namespace varchar(255) not null,
    property_key varchar(255) not null,
    property_value varchar(1000) not null,
    constraint iceberg_namespace_properties_key primary key (catalog_name, namespace, property_key)
);
comment on table iceberg.iceberg_namespace_properties is 'The namespaces of the archive''s catalogue.';
grant select on iceberg.iceberg_namespace_properties to rrr_analyst;
grant select, insert on iceberg.iceberg_namespace_properties to rrr_writer;

create table archive_proofs (
    proof_id bigint generated always as identity not null,
    relation text collate "C" not null,
    partition_start date not null,
    snapshot_id bigint not null,
    files jsonb not null,
    row_count bigint not null,
    size_bytes bigint not null,
    content text not null,
    sums jsonb not null,
    bounds jsonb not null,
    bars text,
    log_mark bigint not null,
    known_at timestamptz not null,
    proven_at timestamptz not null,
    proven_by text not null,
    run_id text,
    constraint archive_proofs_key primary key (proof_id),
    constraint archive_proofs_row_count_not_negative check (row_count >= 0)
);
comment on table archive_proofs is
'One row each time a partition of the archive was read back from the store and found equal to its source, value by value. Append-only.';
comment on column archive_proofs.proof_id is 'Order of the proofs.';
comment on column archive_proofs.relation is 'The table that was archived.';
comment on column archive_proofs.partition_start is 'First day of the partition: the day, or the first of its month. [UTC day]';
comment on column archive_proofs.snapshot_id is 'The Iceberg snapshot with these files.';
comment on column archive_proofs.files is 'The partition''s files, with the size and the SHA-256 of each.';
comment on column archive_proofs.row_count is 'Rows, in the source and as read back. [rows]';
comment on column archive_proofs.size_bytes is 'Of all files. [bytes]';
comment on column archive_proofs.content is 'Hash of the values in the order of the table, whatever wrote them down.';
comment on column archive_proofs.sums is 'Exact sums by column, as plain text.';
comment on column archive_proofs.bounds is 'Least and greatest value by column, as plain text.';
comment on column archive_proofs.bars is 'Hash of the 1-minute bars made from what was read back; null where no bars are made of the table.';
comment on column archive_proofs.log_mark is
'Last entry of the invalidation log for the partition that the source reflected; a later one makes the proof stale.';
comment on column archive_proofs.known_at is 'What was known at this time is in it. [UTC]';
comment on column archive_proofs.proven_at is 'When. [UTC]';
comment on column archive_proofs.proven_by is 'Who: the user of the operating system and the host.';
comment on column archive_proofs.run_id is 'The Dagster run, where one did it.';
grant select on archive_proofs to rrr_analyst;
grant select, insert on archive_proofs to rrr_writer;

create index archive_proofs_partition on archive_proofs (relation, partition_start, proof_id);
