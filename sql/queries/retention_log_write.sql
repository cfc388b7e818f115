-- Adds to the log of retention.
insert into retention_log (
    at, action, relation, partition_start, is_dry_run, row_count, size_bytes, proof_id, reasons, detail, environment, by_whom, run_id
)
values (
    clock_timestamp(), %(action)s, %(relation)s, %(partition_start)s, %(is_dry_run)s, %(row_count)s, %(size_bytes)s, %(proof_id)s,
    %(reasons)s, %(detail)s, %(environment)s, %(by_whom)s, %(run_id)s
)
returning entry_id;
