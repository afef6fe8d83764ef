# Mounts the file system behind the meter's state; the port's own would format the state.
import flashmap
import rp2
import vfs

_bdev = rp2.Flash(start=flashmap.FILES_OFFSET - flashmap.STATE_OFFSET, len=flashmap.FILES_SIZE)
try:
    _fs = vfs.VfsLfs2(_bdev, progsize=256)
except OSError:
    vfs.VfsLfs2.mkfs(_bdev, progsize=256)
    _fs = vfs.VfsLfs2(_bdev, progsize=256)
vfs.mount(_fs, "/")
del _bdev, _fs
