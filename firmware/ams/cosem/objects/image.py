"""Image transfer (class 18): present, and not enabled."""

from ams.cosem.objects.view import View


class ImageTransfer(View):
    class_id = 18
    attributes = 7
    methods = 4

    def read(self, attribute, out):
        if attribute == 2:
            out.uint32(64)
        elif attribute == 3:
            out.bits(b"", 0)
        elif attribute == 4:
            out.uint32(0)
        elif attribute == 5:
            out.boolean(False)
        elif attribute == 6:
            out.enum(0)
        else:
            out.array(0)
