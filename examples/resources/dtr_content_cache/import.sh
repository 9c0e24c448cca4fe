# The id is the name of the cache in DTR, or DTR's id of the registration.
terraform import dtr_content_cache.main region-asia
