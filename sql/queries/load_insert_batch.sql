-- Writes the batch into the books, in the transaction that stored its rows.
insert into ingest_batches (
    batch_id, file_id, day, stream, time_unit, rows_read, rows_stored, rows_revised, duplicates, quarantined, known_at, run_id, seconds
)
overriding system value
values (
    %(batch_id)s, %(file_id)s, %(day)s, %(stream)s, %(time_unit)s, %(rows_read)s, %(rows_stored)s, %(rows_revised)s,
    %(duplicates)s, %(quarantined)s, %(known_at)s, %(run_id)s, extract(epoch from clock_timestamp() - transaction_timestamp())
);
