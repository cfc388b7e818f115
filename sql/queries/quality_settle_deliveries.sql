-- Ends what was told of deliveries: when a day has gone by since it was found, for each row is held once, or its batch was taken back.
update findings as f
set state = 'resolved', resolved_at = clock_timestamp()
where
    f.state = 'open' and f.relation = 'ingest_batches'
    and (
        f.last_seen < clock_timestamp() - %(told_for)s::interval
        or exists (select 1 from ingest_batches as u where u.undoes_batch_id = (f.detail ->> 'batch_id')::bigint)
    )
returning f.finding_id;
