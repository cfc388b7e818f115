-- Names other metadata of a table whose current metadata cannot be read, unless somebody else did so meanwhile.
update iceberg.iceberg_tables
set metadata_location = %(url)s, previous_metadata_location = null
where
    catalog_name = %(catalogue)s and table_namespace = %(namespace)s and table_name = %(name)s
    and metadata_location = %(broken)s;
