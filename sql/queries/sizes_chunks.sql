-- Bytes of every chunk of every hypertable, in rows or in the columnstore; what it took before it was moved there, where that is known.
select
    h.hypertable_name as relation,
    (c.range_start at time zone 'UTC')::date as from_day,
    (c.range_end at time zone 'UTC')::date as until_day,
    c.is_compressed,
    s.total_bytes - s.index_bytes as table_bytes,
    s.index_bytes,
    b.before_compression_total_bytes as before_bytes
from timescaledb_information.hypertables as h
cross join lateral chunks_detailed_size(format('%%I.%%I', h.hypertable_schema, h.hypertable_name)::regclass) as s
inner join timescaledb_information.chunks as c on s.chunk_schema = c.chunk_schema and s.chunk_name = c.chunk_name
left join lateral chunk_columnstore_stats(format('%%I.%%I', h.hypertable_schema, h.hypertable_name)::regclass) as b
    on s.chunk_schema = b.chunk_schema and s.chunk_name = b.chunk_name
where h.hypertable_schema = 'public'
order by 1, 2;
