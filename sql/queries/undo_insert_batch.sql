-- Writes into the books that a batch was taken back, and asks for the day's other files of these rows again, and of corrections of
-- them: of what the batch told, or ended, they may have been found known.
with asked as (
    update landing_days as d
    set is_pending = true, requested_at = clock_timestamp()
    from landing_files as f
    where
        f.file_id = d.file_id and d.day = %(day)s and f.stream = any(%(told_by)s) and d.file_id <> %(file_id)s and d.refused is null
        and exists (
            select 1 from ingest_batches as b
            where
                b.file_id = d.file_id and b.day = d.day and b.undoes_batch_id is null and b.rows_read > b.quarantined
                -- A file of which something was taken back waits until somebody takes it in again.
                and not exists (
                    select 1 from ingest_batches as u
                    where u.file_id = d.file_id and u.day = d.day and u.undoes_batch_id is not null and u.batch_id > b.batch_id
                )
        )
)

insert into ingest_batches (
    batch_id, file_id, day, stream, time_unit, rows_read, rows_stored, rows_revised, duplicates, quarantined, known_at, seconds,
    undoes_batch_id, reason
)
overriding system value
values (
    %(batch_id)s, %(file_id)s, %(day)s, %(stream)s, %(time_unit)s, %(revised)s, 0, %(revised)s, 0, 0, %(known_at)s,
    extract(epoch from clock_timestamp() - transaction_timestamp()), %(undone)s, %(reason)s
);
