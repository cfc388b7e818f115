-- Rows and last number of the ledgers that only grow: what a restored database is held against.
select
    'ingest_batches' as ledger,
    count(*) as row_count,
    coalesce(max(batch_id), 0) as last_number
from ingest_batches
union all
select
    'landing_files' as ledger,
    count(*) as row_count,
    coalesce(max(file_id), 0) as last_number
from landing_files
union all
select
    'archive_proofs' as ledger,
    count(*) as row_count,
    coalesce(max(proof_id), 0) as last_number
from archive_proofs
union all
select
    'retention_log' as ledger,
    count(*) as row_count,
    coalesce(max(entry_id), 0) as last_number
from retention_log
order by ledger;
