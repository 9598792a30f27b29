"""KITTI's camera and its calibration file."""

from __future__ import annotations

import dataclasses

import numpy as np

KITTI_SIZE = (375, 1242)
FOCAL, CENTRE_X, CENTRE_Y = 721.5377, 609.5593, 172.854
CAMERA_HEIGHT = 1.65
BASELINE = 0.5327  # metres between the left and the right camera, as KITTI's P1 and P3 have it


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera looking along z, 1.65 m above a flat road, y down.

    Attributes:
        size: height and width of the image in pixels; the intrinsics are KITTI's, scaled to it.
    """

    size: tuple[int, int] = KITTI_SIZE

    @property
    def fx(self) -> float:
        """Horizontal focal length in pixels."""
        return FOCAL * self.size[1] / KITTI_SIZE[1]

    @property
    def fy(self) -> float:
        """Vertical focal length in pixels."""
        return FOCAL * self.size[0] / KITTI_SIZE[0]

    @property
    def cx(self) -> float:
        """Column of the optical axis."""
        return CENTRE_X * self.size[1] / KITTI_SIZE[1]

    @property
    def cy(self) -> float:
        """Row of the optical axis, which is the horizon."""
        return CENTRE_Y * self.size[0] / KITTI_SIZE[0]

    @property
    def p2(self) -> np.ndarray:
        """Projection matrix, float64 (3, 4)."""
        return np.array([[self.fx, 0, self.cx, 0], [0, self.fy, self.cy, 0], [0, 0, 1, 0]], float)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels of points in front of the camera.

        Args:
            points: float (..., 3), metres, z > 0.

        Returns:
            float (..., 2): column, row; pixel centres are whole numbers.
        """
        z = points[..., 2]
        return np.stack([self.fx * points[..., 0] / z + self.cx, self.fy * points[..., 1] / z + self.cy], -1)

    def ground(self, x, z) -> np.ndarray:
        """Points of the road plane: camera coordinates (..., 3) of lateral x and forward z in metres."""
        x, z = np.broadcast_arrays(np.asarray(x, float), np.asarray(z, float))
        return np.stack([x, np.full(x.shape, CAMERA_HEIGHT), z], -1)

    def calibration(self) -> str:
        """The text of KITTI's calibration file: P0–P3, R0_rect, Tr_velo_to_cam, Tr_imu_to_velo."""
        right = self.p2.copy()
        right[0, 3] = -self.fx * BASELINE
        velodyne = [0, -1, 0, 0, 0, 0, -1, -0.08, 1, 0, 0, -0.27]
        imu = [1, 0, 0, -0.81, 0, 1, 0, 0.32, 0, 0, 1, -0.8]
        rows = (
            ("P0", self.p2),
            ("P1", right),
            ("P2", self.p2),
            ("P3", right),
            ("R0_rect", np.eye(3)),
            ("Tr_velo_to_cam", velodyne),
            ("Tr_imu_to_velo", imu),
        )
        return "".join(f"{name}: {' '.join(f'{v:.12e}' for v in np.ravel(m))}\n" for name, m in rows)


def rotation(angle: float) -> np.ndarray:
    """KITTI's rotation about the downward y axis, object to camera frame, float64 (3, 3); angle in radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def wrap(angle: float) -> float:
    """The same angle in [-pi, pi)."""
    return float((angle + np.pi) % (2 * np.pi) - np.pi)


def clip_near(points: np.ndarray, near: float = 0.5) -> np.ndarray:
    """Cut a polygon at the plane z = near (Sutherland–Hodgman).

    Args:
        points: float (n, 3), camera coordinates in metres.
        near: metres.

    Returns:
        float (m, 3), the part in front of the plane; m is 0 where nothing is.
    """
    if (points[:, 2] >= near).all():
        return points
    kept = []
    for a, b in zip(points, np.roll(points, -1, axis=0), strict=True):
        if a[2] >= near:
            kept.append(a)
        if (a[2] >= near) != (b[2] >= near):
            kept.append(a + (b - a) * (near - a[2]) / (b[2] - a[2]))
    return np.array(kept).reshape(-1, 3)
