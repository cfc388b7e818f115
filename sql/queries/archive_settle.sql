-- Waits until nobody writes a partition, and keeps writers out; the session holds it until it lets go.
select pg_advisory_lock(hashtextextended(format('partition|%%s|%%s', %(relation)s::text, %(partition_start)s::date), 0));
